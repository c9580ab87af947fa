import numpy as np
import pytest
from jaxtyping import TypeCheckError

from sprec.evaluation.lists import without_history


def test_history_leaves_and_the_order_stays():
    ranked = np.array([[4, 2, 7, 1, 3], [9, 8, 7, 6, 5]])
    assert without_history(ranked, [[2, 4], [6]], k=3).tolist() == [[7, 1, 3], [9, 8, 7]]


def test_history_may_be_of_any_length_and_places_that_run_out_are_empty():
    ranked = np.array([[4, 2, 7], [4, 2, 7], [4, -1, 7]])
    histories = [[], [7, 4, 2, 4], [4, -1]]
    assert without_history(ranked, histories, k=3).tolist() == [[4, 2, 7], [-1, -1, -1], [-1, 7, -1]]
    assert without_history(ranked, [[], [], []], k=2).tolist() == [[4, 2], [4, 2], [4, -1]]


def test_random_lists_lose_what_a_loop_over_users_takes_out():
    rng = np.random.default_rng(2)
    ranked = np.array([rng.permutation(30)[:15] for _ in range(50)])
    histories = [rng.integers(0, 30, rng.integers(1, 10)).tolist() for _ in range(50)]
    found = without_history(ranked, histories, k=5)
    for kept, row, history in zip(found, ranked, histories, strict=True):
        assert kept.tolist() == [item for item in row.tolist() if item not in history][:5]


def test_width_and_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="k = 3 does not fit lists of 2; rank more items or lower k"):
        without_history(np.array([[1, 2]]), [[1]], k=3)
    with pytest.raises((ValueError, TypeCheckError), match="1 lists but 2 histories; give one per list"):
        without_history(np.array([[1, 2]]), [[1], [2]], k=1)
