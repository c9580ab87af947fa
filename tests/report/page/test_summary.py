from dataclasses import replace

import pytest

from sprec.report.figures.series import arm_series
from sprec.report.page.summary import judge, summarize_arms
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
    assert list(changes) == ["OR@1", "Div@1", "MGU@1", "HR@2", "NDCG@2"]
    assert (changes["OR@1"].before, changes["OR@1"].after) == pytest.approx((0.795, 0.595))
    # of 6 users 2 find their next title in a list of two before, 4 after
    assert changes["HR@2"].difference.mean == pytest.approx(2 / 6)
    assert not changes["OR@1"].up


def test_metric_that_a_seed_lacks_is_left_out(make):
    first, last = evaluated(1)
    without = replace(last, scores={key: value for key, value in last.scores.items() if key != "mgu@1"})
    (summary,) = summarize_arms(arm_series([full(make), full(make, seed=1, evaluations=(first, without))]))
    assert [change.metric for change in summary.changes] == ["OR@1", "Div@1", "HR@2", "NDCG@2"]


def test_records_without_lists_are_not_tested(make):
    (summary,) = summarize_arms(arm_series([make()]))
    assert {change.verdict for change in summary.changes} == {"not tested"}


def test_single_model_has_no_change(make):
    assert summarize_arms(arm_series([make("sft", evaluations=evaluations()[:2])])) == []
