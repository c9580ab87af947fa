import pytest

from sprec.bench.ranking import Case, evaluation, ours, plain


def test_both_sides_of_the_evaluation_find_the_same_metrics():
    case = Case(users=40, items=120, size=16)
    expected = plain(case)
    assert ours(case) == pytest.approx(expected)
    assert expected["hr@5"] > 0


def test_step_says_how_many_users_it_ranked_for():
    assert evaluation(Case(users=7, items=20, size=8), released=False)().units == 7
