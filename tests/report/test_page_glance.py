from dataclasses import replace

import pytest

from sprec.report.figures_series import Estimate, traces
from sprec.report.page_glance import glance, verdict

from .conftest import evaluations
from .people import evaluated, full


@pytest.mark.parametrize(
    ("difference", "up", "expected"),
    [
        (Estimate(0.1, 0.02, 0.18, 3), True, "better"),
        (Estimate(0.1, 0.02, 0.18, 3), False, "worse"),
        (Estimate(-0.1, -0.18, -0.02, 3), False, "better"),
        (Estimate(0.1, -0.02, 0.22, 3), True, "no clear change"),
        (Estimate(0.1, 0.02, 0.18, 2), True, "few seeds"),
        (Estimate(0.1, 0.1, 0.1, 3), True, "few seeds"),
        (Estimate(0.1, 0.1, 0.1, 1), True, "few seeds"),
        (Estimate(0.0, 0.0, 0.0, 3), True, "no change"),
    ],
)
def test_verdict_says_no_more_than_the_interval(difference, up, expected):
    assert verdict(difference, up=up) == expected


def test_glance_compares_the_last_iteration_with_the_first(make):
    (trace,) = traces([full(make)])
    found = glance(trace)
    assert (found.name, found.iterations, found.seeds) == ("sprec × self_play", 1, 1)
    changes = {change.metric: change for change in found.changes}
    assert list(changes) == ["OR@1", "Div@1", "MGU@1", "HR@2", "NDCG@2"]
    assert changes["OR@1"].difference.mean == pytest.approx(-0.2)
    assert not changes["OR@1"].up


def test_metric_that_a_seed_lacks_is_left_out(make):
    first, last = evaluated(1)
    without = replace(last, scores={key: value for key, value in last.scores.items() if key != "or_ratio@1"})
    (trace,) = traces([full(make), full(make, seed=1, evaluations=(first, without))])
    assert [change.metric for change in glance(trace).changes] == ["Div@1", "MGU@1", "HR@2", "NDCG@2"]


def test_single_model_has_no_change(make):
    (trace,) = traces([make("sft", evaluations=evaluations()[:2])])
    assert glance(trace) is None
