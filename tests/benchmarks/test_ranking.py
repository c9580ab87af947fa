import pytest

from benchmarks.ranking import RankingCase, evaluate_case, score_case, score_case_as_released


@pytest.mark.parametrize("distinct", [7, 40])
def test_both_sides_of_the_evaluation_compute_the_same_metrics(distinct):
    case = RankingCase(users=40, items=120, distinct=distinct, size=16)
    expected = score_case_as_released(case)
    scores = score_case(case)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert set(scores) - set(expected) == {"mrr@1", "mrr@5"}  # the released evaluation has no MRR
    assert expected["hr@1"] > 0
    assert expected["div_ratio@1"] == pytest.approx(len(set(case.near.tolist())) / 40)


def test_step_says_how_many_users_it_ranked_for():
    case = RankingCase(users=7, items=20, distinct=3, size=8)
    assert evaluate_case(case, as_released=False, times=2)().units == 14
