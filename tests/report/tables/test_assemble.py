import math
import re
from dataclasses import replace

import pytest

from sprec.records.run_record import DatasetEntry, RowCounts, WeightsEntry
from sprec.report.tables.assemble import ablation_tables, run_table
from sprec.report.tables.missing import source_line
from sprec.report.tables.table import MeanStd
from tests.report.conftest import evaluation, evaluations


def ablation_table(records):
    """Return the one table that these runs make."""
    (table,) = ablation_tables(records)
    return table


NOTE = (
    "N 1000; seeds 0; commit abcdef0123; dataset movie_lens (0123456789ab); "
    "base LLM smollm2_135m (fedcba987654)"
)


def test_run_table_has_baseline_then_sft_then_iterations(make):
    table = run_table(make(evaluations=tuple(reversed(evaluations(0.02, 0.03)))))
    assert [row[:2] for row in table.rows] == [
        ("most popular", 1000),
        ("initial SFT", 1000),
        ("iteration 1", 1000),
        ("iteration 2", 1000),
    ]
    heads = "model N HR@1 Div@1 OR@1 MGU@1 DGU@1 HR@5 NDCG@5 Div@5 OR@5 MGU@5 DGU@5 off-catalogue"
    assert " ".join(table.columns) == heads
    assert table.rows[-1][2:] == pytest.approx((0.03,) * 5 + (0.15,) * 6 + (0.1,))
    assert table.notes == (NOTE,)


def test_run_table_leaves_validation_rows_out_and_takes_the_last_of_a_repeated_evaluation(make):
    rows = (
        evaluation("iteration_1", 1, 0.5, split="valid"),
        evaluation("iteration_1", 1, 0.6),
        evaluation("iteration_1", 1, 0.7),
    )
    assert [row[2] for row in run_table(make(evaluations=rows)).rows] == [0.7]


def test_run_on_validation_rows_alone_says_so_and_is_never_compared_with_test_runs(make):
    chosen = make(evaluations=(evaluation("iteration_1", 1, 0.5, split="valid"),))
    table = run_table(chosen)
    assert [row[2] for row in table.rows] == [0.5]
    assert table.notes[-1].startswith("N 1000 validation rows;")
    assert len(ablation_tables([chosen, make()])) == 2


def test_run_table_names_the_ranking_where_there_are_several(make):
    rows = (*evaluations(0.02), evaluation("iteration_1", 1, 0.04, ranking="beam"))
    assert [row[0] for row in run_table(make(evaluations=rows)).rows] == [
        "most popular",
        "initial SFT (grounding)",
        "iteration 1 (grounding)",
        "iteration 1 (beam search)",
    ]


def test_score_that_is_absent_or_undefined_is_an_empty_cell(make):
    each = evaluation("initial_sft", 0, 0.02)
    scores = {name: value for name, value in each.scores.items() if name != "off_catalog"} | {
        "mgu@1": math.nan
    }
    row = run_table(make(evaluations=(replace(each, scores=scores),))).rows[0]
    assert row[2] == 0.02
    assert (row[5], row[-1]) == (None, None)


def test_run_table_of_an_unfinished_run_says_so(make):
    table = run_table(make(status="failed", error="RuntimeError: lost\nTraceback", evaluations=evaluations()))
    assert len(table.rows) == 2
    assert table.notes[0] == (
        "SPRec, seed 0: failed (RuntimeError: lost); to run it again: python -m sprec.run method=sprec seed=0"
    )
    assert "still running, or stopped; to run" in run_table(make(status="running")).notes[0]


def test_provenance_marks_what_was_not_committed(make):
    line = source_line([make(), make(seed=2, dirty=True), make(seed=1, commit=None)])
    assert "seeds 0, 1, 2; commit abcdef0123, abcdef0123 (dirty), unknown;" in line


def test_ablation_averages_the_last_iteration_over_seeds(make):
    records = [
        make(seed=seed, evaluations=evaluations(0.9, value)) for seed, value in enumerate((0.02, 0.03, 0.07))
    ]
    table = ablation_table(records)
    assert table.columns[:5] == ("method", "negatives", "seeds", "N", "HR@1")
    assert [row[:4] for row in table.rows] == [
        ("most popular", "–", 3, 1000),
        ("initial SFT", "–", 3, 1000),
        ("SPRec", "Self-play", 3, 1000),
    ]
    # mean .04, deviations −.02 −.01 +.03 → sd √(.0014 / 2)
    cell = table.rows[2][4]
    assert isinstance(cell, MeanStd)
    assert (cell.mean, cell.std) == pytest.approx((0.04, math.sqrt(0.0007)))


def test_ablation_shows_shared_models_once_and_one_row_per_method_and_negatives(make):
    records = [make(), make(negatives="random"), make("without_sft", evaluations=evaluations(0.05))]
    table = ablation_table(records)
    assert [row[:3] for row in table.rows] == [
        ("most popular", "–", 1),
        ("initial SFT", "–", 1),
        ("SPRec", "Self-play", 1),
        ("without SFT", "Self-play", 1),
        ("random negatives", "Random", 1),
    ]
    assert table.rows[3][4] == 0.05


def test_arm_that_failed_keeps_its_row_and_tells_how_to_run_it_again(make):
    failed = make("dpo", status="failed", error="OSError: disk full", evaluations=())
    table = ablation_table([make(), failed])
    assert table.rows[-2] == ("DPO", "Self-play", 0, None, *["failed"] * 12)
    assert table.notes[0].endswith(
        "(OSError: disk full); to run it again: python -m sprec.run method=dpo seed=0"
    )


def test_iteration_of_an_unfinished_run_is_no_final_score(make):
    running = make(seed=1, status="running", evaluations=evaluations(0.9))
    table = ablation_table([make(), running])
    assert table.rows[-1][2:5] == (1, 1000, 0.02)
    assert "SPRec, seed 1: still running, or stopped" in table.notes[0]


def test_ablation_counts_a_seed_that_was_run_twice_once(make):
    old = make(started="2025-01-01T00:00:00+00:00", evaluations=evaluations(0.9))
    failed = make(started="2027-01-01T00:00:00+00:00", status="failed", evaluations=())
    table = ablation_table([make(), old, failed])
    assert table.rows[-1][2:5] == (1, 1000, 0.02)
    assert table.notes[0] == "SPRec: 1 older finished run(s) of the same seeds are left out"


def test_mixed_commits_in_one_row_are_said(make):
    table = ablation_table([make(), make(seed=1, commit="ffff")])
    assert table.notes[0] == "SPRec: its seeds were run at different commits: abcdef0123, ffff"


def test_arms_that_start_from_different_models_are_said(make):
    other = (evaluation("initial_sft", 0, 0.5), evaluation("iteration_1", 1, 0.6))
    table = ablation_table([make(), make("dpo", evaluations=other)])
    assert table.notes[0].startswith("seed 0: the runs start from 2 different initial SFT models")


@pytest.mark.parametrize(
    "other",
    [
        {"dataset": DatasetEntry("goodreads", "00", 4, RowCounts(3, 2, 1))},
        {"dataset": DatasetEntry("movie_lens", "ffff", 4, RowCounts(3, 2, 1))},
        {"weights": WeightsEntry("llama3_2_1b", "00")},
        {"evaluations": evaluations(0.02, n=200)},
    ],
    ids=["dataset", "build of the dataset", "base LLM", "N"],
)
def test_runs_that_cannot_be_compared_are_never_in_one_table(make, other):
    records = [make(), make(seed=1, **other)]
    tables = ablation_tables(records)
    assert [table.rows[-1][2] for table in tables] == [1, 1]
    assert [re.search("seeds (.*?);", table.notes[-1])[1] for table in tables] == ["0", "1"]


def test_no_runs_give_no_table():
    assert ablation_tables([]) == []


def test_methods_with_an_sft_of_their_own_are_no_other_start(make):
    own = (evaluation("initial_sft", 0, 0.5),)
    weighted = make("rw", "none", evaluations=own, config={"seed": 0, "method": {"weighting": {"a": 1}}})
    assert not any("different initial SFT" in note for note in ablation_table([make(), weighted]).notes)


def test_seeds_whose_initial_sft_had_other_settings_are_said(make):
    def tuned(seed, rate):
        config = {"seed": seed, "dpo": {"beta": 0.1}, "budget": {"initial": {"learning_rate": rate}}}
        return make(seed=seed, config=config)

    same, mixed = (ablation_table([tuned(0, 1e-3), tuned(1, rate)]) for rate in (1e-3, 2e-3))
    said = "the initial SFT of different seeds differs in budget.initial.learning_rate"
    assert (said in same.notes, said in mixed.notes) == (False, True)


def test_plain_sft_at_two_rates_has_two_rows(make):
    def tuned(rate):
        config = {"seed": 0, "budget": {"initial": {"learning_rate": rate}}}
        return make("sft", "none", config=config, evaluations=(evaluation("initial_sft", 0, rate),))

    names = [row[0] for row in ablation_table([tuned(0.1), tuned(0.2)]).rows]
    assert [name for name in names if "learning_rate" in name] == [
        "SFT (budget.initial.learning_rate=0.1)",
        "SFT (budget.initial.learning_rate=0.2)",
    ]


def test_the_most_popular_items_have_one_row_in_their_own_run(make):
    own = (evaluation("most_popular", None, 0.3), evaluation("most_popular", 0, 0.3, ranking="all items"))
    assert [row[0] for row in run_table(make("most_popular", "none", evaluations=own)).rows] == [
        "most popular"
    ]
