import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from sprec.evaluation.exposure_metrics import (
    coverage,
    entropy,
    gini,
    group_hit_rate,
    head_items,
    mean_popularity_percentile,
    popularity_percentiles,
)
from sprec.evaluation.metrics import hit


def test_gini_and_entropy_at_their_ends():
    everything = np.arange(6).reshape(3, 2)
    assert gini(everything, 6) == 0.0
    assert entropy(everything) == pytest.approx(np.log(6))
    one = np.zeros((3, 2), dtype=int)
    assert gini(one, 6) == pytest.approx(1 - 1 / 6)
    assert entropy(one) == 0.0


def test_lists_without_any_item_expose_nothing():
    nothing = np.full((3, 2), -1)
    assert gini(nothing, 6) == entropy(nothing) == coverage(nothing, 6) == 0.0
    assert mean_popularity_percentile(nothing, np.arange(6)) == 0.0


def test_gini_is_half_the_mean_difference_of_all_pairs_over_the_mean():
    ranked = np.random.default_rng(3).integers(-1, 9, (40, 5))
    counts = np.array([(ranked == item).sum() for item in range(12)])
    pairs = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(ranked, 12) == pytest.approx(pairs / (2 * counts.mean()))


def test_percentiles_of_popularity_are_those_of_scipy():
    popularity = np.random.default_rng(5).integers(0, 8, 50)
    expected = [percentileofscore(popularity, each, kind="mean") / 100 for each in popularity]
    assert popularity_percentiles(popularity) == pytest.approx(expected)
    assert popularity_percentiles(popularity).mean() == pytest.approx(0.5)


def test_mean_percentile_counts_places_and_not_items():
    popularity = np.array([0, 1, 2, 3])  # percentiles 1/8, 3/8, 5/8, 7/8
    assert mean_popularity_percentile(np.array([[3, 3], [3, -1]]), popularity) == 7 / 8
    assert mean_popularity_percentile(np.array([[0, 1], [2, 3]]), popularity) == 1 / 2


@pytest.mark.parametrize(
    ("popularity", "share", "expected"),
    [
        ([10, 10, 10, 10, 10], 0.2, [0]),
        ([1, 30, 9, 60], 0.6, [3]),
        ([1, 30, 9, 60], 0.61, [1, 3]),
        ([0, 5, 5], 0.99, [1, 2]),
    ],
    ids=["equals enter by lower id", "reached exactly", "just missed", "never an item without interactions"],
)
def test_head_is_the_fewest_items_with_the_share(popularity, share, expected):
    assert np.flatnonzero(head_items(np.array(popularity), share)).tolist() == expected


@pytest.mark.parametrize(
    ("popularity", "share", "message"),
    [([1, 2], 1.0, "share = 1.0 leaves no head or no tail"), ([0, 0], 0.2, "no item has an interaction")],
)
def test_head_of_nothing_is_refused(popularity, share, message):
    with pytest.raises(ValueError, match=message):
        head_items(np.array(popularity), share)


def test_head_and_tail_together_hit_as_often_as_all_targets_of_the_catalogue():
    rng = np.random.default_rng(11)
    ranked, target = rng.integers(0, 10, (200, 3)), rng.integers(-1, 10, 200)
    popular = head_items(rng.integers(0, 100, 10), 0.5)
    in_head = (popular[target] & (target >= 0)).sum()
    in_tail = (target >= 0).sum() - in_head
    hits = in_head * group_hit_rate(ranked, target, popular) + in_tail * group_hit_rate(
        ranked, target, ~popular
    )
    assert hits == pytest.approx(hit(ranked, target).sum())


def test_target_outside_the_catalogue_is_in_no_group():
    group = np.array([False, True])  # -1 would index the last item
    assert group_hit_rate(np.array([[1], [0]]), np.array([-1, 0]), group) is None


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(st.lists(st.integers(-1, 8), min_size=k, max_size=k), min_size=1, max_size=9)
    )
)
def test_every_measure_of_exposure_stays_in_its_stated_range(rows):
    ranked = np.array(rows)
    assert 0 <= coverage(ranked, 9) <= 1
    assert -1e-12 <= gini(ranked, 9) <= 1 - 1 / 9 + 1e-12
    assert -1e-12 <= entropy(ranked) <= np.log(9) + 1e-12
    assert 0 <= mean_popularity_percentile(ranked, np.arange(9)) < 1
