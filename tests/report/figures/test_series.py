from dataclasses import replace

import numpy as np
import pytest

from sprec.report.figures.score_figures import _path
from sprec.report.figures.series import (
    arm_series,
    baseline_evaluations,
    cumulative_share,
    genre_shares,
    mean_change,
    mean_cumulative_share,
    mean_over_seeds,
    mean_score,
    student_t,
)
from sprec.report.tables.per_user_values import decode_lists
from tests.report.conftest import evaluation, evaluations
from tests.report.hostile_records import GENRES, LISTS, evaluated, full


def test_student_agrees_with_scipy_to_three_digits():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 5, 10, 11, 15, 30, 200):
        assert student_t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=5e-4)


def test_interval_over_seeds_is_students():
    # 1, 2, 3: mean 2, deviation 1; 4.3027 / √3 = 2.4842
    value = mean_over_seeds([1.0, 2.0, 3.0])
    assert (value.mean, value.low, value.high, value.seeds) == pytest.approx(
        (2, -0.4842, 4.4842, 3), abs=1e-4
    )


def test_one_seed_has_no_interval_and_an_undefined_score_no_estimate():
    one = mean_over_seeds([0.5])
    assert (one.low, one.mean, one.high) == (0.5, 0.5, 0.5)
    assert mean_over_seeds([0.5, float("nan")]) is None
    assert mean_over_seeds([]) is None


def test_interval_of_a_score_ends_where_scores_do():
    group = [evaluation("x", 1, 0.01), evaluation("x", 1, 0.9)]
    value = mean_score(group, "hr@1")
    assert (value.low, value.high) == (0.0, 1.0)


def test_change_compares_each_seed_with_itself():
    before = [evaluation("x", 0, value) for value in (0.1, 0.5)]
    after = [evaluation("x", 1, value) for value in (0.2, 0.6)]
    value = mean_change(before, after, "hr@1")
    assert (value.mean, value.low, value.high) == pytest.approx((0.1, 0.1, 0.1))
    assert mean_change(before, after[:1], "hr@1") is None


def test_traces_hold_one_evaluation_per_seed_and_iteration(make):
    value = arm_series([make(seed=0), make(seed=1), make("dpo", evaluations=evaluations(0.3, 0.4))])
    assert [trace.name for trace in value] == ["DPO, self-play", "SPRec"]
    assert {i: len(group) for i, group in value[1].iterations.items()} == {0: 2, 1: 2}
    assert [each.scores["hr@1"] for each in value[0].last] == [0.4]


def test_traces_leave_failed_seeds_out_where_others_finished(make):
    failed = make(seed=1, status="failed", evaluations=evaluations(0.9))
    assert [len(trace.last) for trace in arm_series([make(), failed])] == [1]
    assert [each.scores["hr@1"] for each in arm_series([failed])[0].last] == [0.9]


def test_baseline_counts_once_per_seed(make):
    value = baseline_evaluations([make(), make("dpo"), make(seed=1)])
    assert {name: len(group) for name, group in value.items()} == {"most popular": 2}


def test_exposure_at_three_is_orratio():
    ids = np.array([[1, 2], [1, 3], [1, 4], [2, 5]])
    assert cumulative_share(ids, np.array([1, 3, 100])).tolist() == [3 / 8, 6 / 8, 1.0]


def test_empty_places_are_no_recommendations():
    assert cumulative_share(np.array([[1, -1], [-1, -1]]), np.array([1])).tolist() == [1.0]
    assert cumulative_share(np.array([[-1, -1]]), np.array([1])).tolist() == [0.0]


def test_mean_exposure_needs_the_lists_of_every_seed():
    known, unknown = evaluated()[0], replace(evaluated()[1], lists="")
    at = np.array([1])
    assert mean_cumulative_share([known, known], 1, at).tolist() == [pytest.approx(5 / 6)]
    assert mean_cumulative_share([known, unknown], 1, at) is None
    assert mean_cumulative_share([], 1, at) is None


def test_lists_of_another_number_of_users_are_refused_by_name():
    assert decode_lists(evaluated()[0]).tolist() == LISTS[0].tolist()
    with pytest.raises(ValueError, match="initial_sft: 6 lists for 7 users; run again"):
        decode_lists(replace(evaluated()[0], n=7))


def test_genre_shares_are_those_of_the_metric(make):
    record = full(make)
    # first places after iteration 1: items 6 0 2 0 3 1, genre of an item is its id modulo 3
    shares = genre_shares(record, record.evaluations[1], 1)
    assert shares == pytest.approx(dict(zip(GENRES, (4 / 6, 1 / 6, 1 / 6), strict=True)))
    assert genre_shares(replace(record, history_genres={}), record.evaluations[1], 1) is None


def test_the_ring_of_a_plane_is_the_shared_start_alone(make):
    """A method whose own SFT is its result, such as RW, has no start to show: its point is its end."""
    reweighted = {"seed": 0, "method": {"weighting": {"_target_": "x"}}}
    records = [make(), make("rw", "none", config=reweighted, evaluations=evaluations())]
    points = [point for arm in arm_series(records) for point in _path(arm, ("hr@1", "or_ratio@1"))]
    assert [(p["arm"], p["iteration"], p["start"], p["last"]) for p in points] == [
        ("RW", 0, False, True),
        ("SPRec", 0, True, False),
        ("SPRec", 1, False, True),
    ]


def test_a_ranking_is_named_once_and_as_people_say_it(make):
    def ranked(target, ranking, seed=0):
        config = {"seed": seed, "ranking": {"_target_": target}}
        return make(config=config, evaluations=(evaluation("iteration_1", 1, 0.2, ranking=ranking),))

    records = [ranked("rankers.Beam", "beam"), ranked("rankers.Grounded", "grounded")]
    assert [arm.name for arm in arm_series(records)] == ["SPRec (beam search)", "SPRec (grounding)"]
    other = replace(records[0], config=records[0].config | {"objective": {"beta": 0.5}})
    names = [arm.name for arm in arm_series([*records, other])]
    assert names == [
        "SPRec (objective.beta=None, beam search)",
        "SPRec (objective.beta=None, grounding)",
        "SPRec (objective.beta=0.5, beam search)",
    ]
