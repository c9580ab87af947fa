import pytest

from benchmarks.ranking import Case, evaluation, ours, released


@pytest.mark.parametrize("distinct", [7, 40])
def test_both_sides_of_the_evaluation_find_the_same_metrics(distinct):
    case = Case(users=40, items=120, distinct=distinct, size=16)
    expected = released(case)
    assert ours(case) == pytest.approx(expected)
    assert expected["hr@1"] > 0
    assert expected["div_ratio@1"] == pytest.approx(len(set(case.near.tolist())) / 40)


def test_step_says_how_many_users_it_ranked_for():
    case = Case(users=7, items=20, distinct=3, size=8)
    assert evaluation(case, plain=False, times=2)().units == 14
