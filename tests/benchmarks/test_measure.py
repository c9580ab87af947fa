import pytest

from benchmarks.measure import Contest, Sample, Work, fit_growth, fit_line, summarize_contest


def sample(units, seconds, peak=1):
    return Sample(Work(units, 10 * units), seconds, peak)


def test_outcome_takes_medians_and_the_spread_of_the_pairs_ratios():
    contest = Contest("step", "rows", None, {}, at_least=2.0, flops=lambda: 30.0)
    pairs = [
        (sample(8, 1.0), sample(8, 4.0, 5)),
        (sample(8, 2.0, 3), sample(8, 4.0)),
        (sample(8, 4.0), sample(8, 4.0)),
    ]
    outcome = summarize_contest(contest, "peer", pairs, [60.0, 120.0, 60.0])
    assert (outcome.ours_rate, outcome.peer_rate) == (4.0, 2.0)
    assert (outcome.ratio, outcome.ratio_low, outcome.ratio_high) == (2.0, 1.0, 4.0)
    assert (outcome.tokens_per_second, outcome.pairs) == (40.0, 3)
    assert (outcome.ours_bytes, outcome.peer_bytes) == (3, 5)
    assert outcome.peak_share == pytest.approx(1 / 8)  # of 30/1/60, 30/2/120 and 30/4/60
    assert outcome.ratio_at_peak == pytest.approx(8.0)  # of 4 · 2, 2 · 8 and 1 · 8


def test_contest_without_necessary_flops_has_no_share_of_the_peak():
    contest = Contest("ranking", "users", None, {})
    assert summarize_contest(contest, "peer", [(sample(1, 1), sample(1, 1))]).peak_share is None


def test_line_through_points_off_it_explains_less_than_all():
    slope, intercept, r2 = fit_line([0, 1, 2], [0.0, 3.0, 3.0])
    # mean 2, total 6; the line 0.5 + 1.5 x leaves 0.25 + 1 + 0.25
    assert (slope, intercept, r2) == (pytest.approx(1.5), pytest.approx(0.5), pytest.approx(0.75))


def test_growth_keeps_sizes_and_memory():
    growth = fit_growth("rows", "row", [1, 2], [1.0, 2.0], [7, 8])
    assert (growth.sizes, growth.peak_bytes, growth.r2) == ((1, 2), (7, 8), pytest.approx(1.0))
