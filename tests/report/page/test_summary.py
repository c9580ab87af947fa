from dataclasses import replace

import pytest

from sprec.report.figures.series import arm_series
from sprec.report.page.summary import ArmSummary, ScoreChange, judge, result_sentence, summarize_arms
from sprec.report.tables.table import Difference
from tests.report.conftest import evaluations
from tests.report.hostile_records import evaluated, full


@pytest.mark.parametrize(
    ("difference", "up", "expected"),
    [
        (Difference(0.1, 0.02, 0.18, 0.01), True, "better"),
        (Difference(0.1, 0.02, 0.18, 0.01), False, "worse"),
        (Difference(-0.1, -0.18, -0.02, 0.01), False, "better"),
        (Difference(0.1, -0.02, 0.22, 0.01), True, "unclear"),
        (Difference(0.1, 0.02, 0.18, 0.06), True, "unclear"),
        (Difference(0.0, 0.0, 0.0, 1.0), True, "no change"),
        (None, True, "not tested"),
    ],
)
def test_verdict_says_no_more_than_test_and_interval_do(difference, up, expected):
    assert judge(difference, up=up) == expected


def test_last_iteration_is_compared_with_the_initial_sft(make):
    (summary,) = summarize_arms(arm_series([full(make), full(make, seed=1)]))
    assert (summary.name, summary.iterations, summary.seeds) == ("SPRec", 1, 2)
    changes = {change.metric: change for change in summary.changes}
    assert list(changes) == ["HR@2", "NDCG@2", "Div@1", "OR@1", "OR@2", "MGU@2", "DGU@2"]
    assert (changes["OR@1"].before, changes["OR@1"].after) == pytest.approx((0.795, 0.595))
    # of 6 users 2 find their next title in a list of two before, 4 after
    assert changes["HR@2"].difference.mean == pytest.approx(2 / 6)
    assert not changes["OR@1"].up


def test_metric_that_a_seed_lacks_is_left_out(make):
    first, last = evaluated(1)
    without = replace(last, scores={key: value for key, value in last.scores.items() if key != "mgu@2"})
    (summary,) = summarize_arms(arm_series([full(make), full(make, seed=1, evaluations=(first, without))]))
    known = ["HR@2", "NDCG@2", "Div@1", "OR@1", "OR@2", "DGU@2"]
    assert [change.metric for change in summary.changes] == known


def test_the_sentence_says_what_changed_and_what_chance_explains():
    made = [("OR@5", False, 0.48, 0.39, "better"), ("OR@1", False, 0.95, 0.72, "better")]
    made += [("HR@5", True, 0.016, 0.018, "unclear"), ("MGU@5", False, 0.1, 0.1, "no change")]
    made += [("off-catalogue", False, 0.01, 0.08, "not tested"), ("longest", True, 0.0, 0.0, "not tested")]
    changes = [
        ScoreChange(metric, up, before, after, None, verdict) for metric, up, before, after, verdict in made
    ]
    summary = ArmSummary("SPRec", 2, 3, tuple(changes))
    assert summary.news == "better in OR@5 and OR@1"
    assert replace(summary, changes=summary.changes[2:]).news == "no difference beyond chance"
    assert result_sentence(summary) == (
        "After 2 iterations, SPRec beside the initial SFT, 3 seeds: better in OR@5 (0.480 → 0.390) "
        "and OR@1 (0.950 → 0.720); no difference beyond chance in HR@5; unchanged in MGU@5; "
        "without a test, off-catalogue (0.010 → 0.080)."
    )


def test_records_without_lists_are_not_tested(make):
    (summary,) = summarize_arms(arm_series([make()]))
    assert {change.verdict for change in summary.changes} == {"not tested"}


def test_a_difference_over_fewer_seeds_than_the_means_is_no_test_of_them(make):
    bare = tuple(replace(one, lists="") for one in evaluated(1))
    (summary,) = summarize_arms(arm_series([full(make), full(make, seed=1, evaluations=bare)]))
    assert summary.seeds == 2
    assert {(change.difference, change.verdict) for change in summary.changes} == {(None, "not tested")}


def test_single_model_has_no_change(make):
    assert summarize_arms(arm_series([make("sft", evaluations=evaluations()[:2])])) == []


def test_before_and_after_are_of_the_same_seeds(make):
    """A seed that is on its way has no last iteration: its start must not move the mean."""
    start, _ = evaluated(1)
    poor = replace(start, scores=dict.fromkeys(start.scores, 0.0))
    running = full(make, seed=1, status="running", evaluations=(poor,))
    (alone,) = summarize_arms(arm_series([full(make, status="running")]))
    (summary,) = summarize_arms(arm_series([full(make, status="running"), running]))
    assert [change.before for change in summary.changes] == [change.before for change in alone.changes]
