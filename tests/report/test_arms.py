import pytest

from sprec.report.arms import arms, by_setting, last, rankings

from .conftest import evaluation, evaluations


def config(seed, **changes):
    return {"seed": seed, "dpo": {"beta": 0.1}, "trainer": {"devices": 1}} | changes


def test_runs_that_differ_in_more_than_the_seed_are_different_arms(make):
    records = [
        make(seed=0, config=config(0)),
        make(seed=1, config=config(1, trainer={"devices": 2})),
        make(seed=2, config=config(2, dpo={"beta": 1.0})),
    ]
    assert [(str(arm), len(arm.runs)) for arm in arms(records)] == [
        ("sprec × self_play (dpo.beta=0.1)", 2),
        ("sprec × self_play (dpo.beta=1.0)", 1),
    ]


def test_arms_stand_in_the_order_in_which_they_were_started(make):
    late = make("dpo", started="2026-02-01T00:00:00+00:00")
    assert [arm.method for arm in arms([late, make()])] == ["sprec", "dpo"]


def test_run_without_scores_joins_the_settings_that_may_be_its_own(make):
    lost = make("dpo", evaluations=())
    small = make(seed=1, evaluations=evaluations(0.1, n=5))
    groups = by_setting([make(), small, lost])
    assert [(setting.n, lost in runs) for setting, runs in groups.items()] == [(1000, True), (5, True)]
    assert [setting.n for setting in by_setting([lost])] == [None]


@pytest.mark.parametrize(("ranking", "expected"), [("grounded", 0.2), ("beam", 0.4), ("other", None)])
def test_last_is_the_last_iteration_under_a_ranking(make, ranking, expected):
    record = make(evaluations=(*evaluations(0.1, 0.2), evaluation("iteration_1", 1, 0.4, ranking="beam")))
    found = last(record, ranking)
    assert (found and found.scores["hr@1"]) == expected
    assert rankings([record]) == ("grounded", "beam")
