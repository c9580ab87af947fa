import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from sprec.evaluation.metrics import (
    dgu,
    div_ratio,
    genre_masses,
    genre_share,
    hit,
    mgu,
    ndcg,
    or_ratio,
    reciprocal_rank,
    without_history,
)


@pytest.mark.parametrize(
    ("ranked", "target", "expected"),
    [
        ([[1, 2]], [1], 1.0),
        ([[2, 1]], [1], 1 / np.log2(3)),
        ([[2, 3]], [1], 0.0),
        ([[2, 1, 1]], [1], 1 / np.log2(3)),
        ([[-1, 1]], [1], 1 / np.log2(3)),
        ([[-1, 1]], [-1], 0.0),
    ],
    ids=["first", "second", "missing", "twice", "after an empty place", "target not in catalogue"],
)
def test_ndcg_discounts_by_rank(ranked, target, expected):
    assert ndcg(np.array(ranked), np.array(target)) == pytest.approx([expected])
    assert hit(np.array(ranked), np.array(target)) == [float(expected > 0)]


@pytest.mark.parametrize("k", [1, 5])
def test_accuracy_of_random_lists_is_what_ir_measures_finds(k):
    rng = np.random.default_rng(7)
    ranked = np.array([rng.permutation(12)[:k] for _ in range(200)])
    target = rng.integers(0, 12, 200)
    run_of = {
        str(user): {str(item): float(k - place) for place, item in enumerate(row)}
        for user, row in enumerate(ranked)
    }
    relevant = {str(user): {str(item): 1} for user, item in enumerate(target)}
    wanted = [ir_measures.nDCG @ k, ir_measures.Success @ k, ir_measures.RR @ k]
    oracle = ir_measures.calc_aggregate(wanted, relevant, run_of)
    assert ndcg(ranked, target).mean() == pytest.approx(oracle[wanted[0]])
    assert hit(ranked, target).mean() == pytest.approx(oracle[wanted[1]])
    assert reciprocal_rank(ranked, target).mean() == pytest.approx(oracle[wanted[2]])


def test_reciprocal_rank_counts_places_from_one():
    ranked = np.array([[5, 6, 7], [5, -1, 7], [7, 5, 7], [5, 6, -1]])
    assert reciprocal_rank(ranked, np.array([7, 7, 7, -1])) == pytest.approx([1 / 3, 1 / 3, 1, 0])


def test_lists_and_targets_of_different_length_are_refused():
    # where shapes are checked, the signature refuses them first
    with pytest.raises((ValueError, TypeCheckError), match=r"1 targets; give one per list|'target'"):
        hit(np.array([[1], [2]]), np.array([1]))


def test_ratios_share_out_over_the_rows_the_caller_counts():
    ranked = np.array([[1, 2], [1, 3]])  # three distinct items, one of them twice
    assert div_ratio(ranked, 2) == 3 / 4
    assert div_ratio(ranked, 1) == 3 / 2  # one of the two targets is in the catalogue
    assert or_ratio(ranked, 2, top=1) == 2 / 4
    assert or_ratio(ranked, 2) == 1.0


def test_empty_places_are_not_items():
    ranked = np.array([[-1, -1], [-1, 4]])
    assert div_ratio(ranked, 2) == 1 / 4
    assert or_ratio(ranked, 2) == 1 / 4
    assert genre_share(ranked, np.eye(5)).tolist() == [0, 0, 0, 0, 1]


def test_ratios_over_no_row_are_refused():
    with pytest.raises(ValueError, match=r"n = 0 rows; is no target in the catalogue\?"):
        div_ratio(np.array([[1]]), 0)


def test_mass_is_split_over_selected_genres_only():
    genres = [["Drama", "Crime", "Western"], ["Western"], [], ["Crime", "Crime"]]
    assert genre_masses(genres, ["Crime", "Drama"]).tolist() == [[0.5, 0.5], [0, 0], [0, 0], [1, 0]]


def test_share_of_lists_without_any_selected_genre_is_nothing():
    assert genre_share([[1], []], np.array([[1.0], [0.0]])).tolist() == [0.0]
    assert genre_share([], np.array([[1.0]])).tolist() == [0.0]


def test_unfairness_of_moving_half_the_mass_to_another_genre():
    # GP − GH = (.5, 0, −.5): mean of absolutes 1/3, range 1
    recommended, history = np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.0, 0.5])
    assert mgu(recommended, history) == pytest.approx(1 / 3)
    assert dgu(recommended, history) == pytest.approx(1.0)


lists = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(st.integers(-1, 8), min_size=k, max_size=k), min_size=1, max_size=9)
)


@settings(max_examples=60, deadline=None)
@given(lists, st.randoms(use_true_random=False))
def test_every_metric_stays_in_its_stated_range(rows, random):
    ranked = np.array(rows)
    target = np.array([random.randint(-1, 8) for _ in rows])
    gains, hits, inverses = ndcg(ranked, target), hit(ranked, target), reciprocal_rank(ranked, target)
    assert ((inverses >= 0) & (inverses <= gains) & (gains <= hits)).all()
    assert 0 <= div_ratio(ranked, len(rows)) <= 1
    assert 0 <= or_ratio(ranked, len(rows)) <= 1
    masses = genre_masses([["a"], ["b"], ["a", "b"], []] * 3, ["a", "b"])
    share, other = genre_share(ranked, masses), genre_share([[0, 1, 1]], masses)
    assert mgu(share, other) <= 1
    assert dgu(share, other) <= 2


@settings(max_examples=30, deadline=None)
@given(lists)
def test_renaming_users_changes_no_model_score(rows):
    ranked = np.array(rows)
    assert or_ratio(ranked, len(rows)) == or_ratio(ranked[::-1], len(rows))
    assert div_ratio(ranked, len(rows)) == div_ratio(ranked[::-1], len(rows))


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
