"""What a run prepares: the seed of its rows, and Lightning's device."""

from types import SimpleNamespace

from sprec.experiment.prepare import build_row_sampling


def test_a_stopped_run_draws_no_other_rows():
    settings = SimpleNamespace(rows_seed="entropy", budget=SimpleNamespace(sft_rows=8, iteration_rows=4))
    assert build_row_sampling(settings, 7).rows_seed == 7
    assert build_row_sampling(settings).rows_seed != build_row_sampling(settings).rows_seed
    settings.rows_seed = None
    assert build_row_sampling(settings, 7).rows_seed is None
