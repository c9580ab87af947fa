"""Each user's part in a metric: pseudo-values average to the metric and are the jackknife's."""

import numpy as np
import pytest

from sprec.evaluation.jackknife import pseudo_values
from sprec.evaluation.metrics import genre_masses, genre_share
from sprec.evaluation.scores import score_lists

ITEMS, USERS, GENRES = 40, 30, ("Crime", "Drama", "War")


@pytest.fixture
def drawn():
    rng = np.random.default_rng(3)
    ranked = np.stack([rng.choice(ITEMS, 5, replace=False) for _ in range(USERS)])
    ranked[:, 0] = np.minimum(ranked[:, 0], 3)
    ranked[4, 2:] = -1  # a list with empty places
    target = rng.integers(-1, ITEMS, USERS)
    histories = rng.integers(0, ITEMS, (USERS, 10))
    masses = genre_masses(
        [rng.choice(GENRES, rng.integers(0, 3), replace=False) for _ in range(ITEMS)], GENRES
    )
    return ranked, target, histories, masses


def test_mean_of_the_values_is_the_metric(drawn):
    ranked, target, histories, masses = drawn
    found = pseudo_values(ranked, target, masses, genre_share(histories, masses), [1, 5])
    scores = score_lists(ranked, target, histories, masses).values
    expected = {key: value for key, value in scores.items() if not key.startswith("mrr")}
    assert {name: float(each.mean()) for name, each in found.items()} == pytest.approx(expected)


def test_values_are_those_of_leaving_each_user_out(drawn):
    ranked, target, histories, masses = drawn
    share = genre_share(histories, masses)
    found = pseudo_values(ranked, target, masses, share, [1, 5])
    rows = np.arange(USERS)
    for name, values in found.items():
        without = np.array(
            [
                float(pseudo_values(ranked[rows != u], target[rows != u], masses, share, [1, 5])[name].mean())
                for u in rows
            ]
        )
        expected = values.mean() + (USERS - 1) * (without.mean() - without)
        assert values == pytest.approx(expected), name


def test_a_user_alone_with_an_item_carries_it():
    """Items 0, 0, 1 and 2: the two users of item 0 add nothing that the other does not; θ = 3/4."""
    ranked, target = np.array([[0], [0], [1], [2]]), np.zeros(4, dtype=int)
    found = pseudo_values(ranked, target, np.eye(3), np.full(3, 1 / 3), [1])["div_ratio@1"]
    # without user 0 or 1: 3/3, without 2 or 3: 2/3, on average 5/6; 3/4 + 3 (5/6 − 1), 3/4 + 3 (5/6 − 2/3)
    assert found == pytest.approx([0.25, 0.25, 1.25, 1.25])


def test_without_genres_the_other_metrics_keep_their_values(drawn):
    """A dataset without genres, and lists none of whose items has a selected one."""
    ranked, target, histories, masses = drawn
    found = pseudo_values(ranked, target, masses, genre_share(histories, masses), [5])
    for none in (np.zeros((ITEMS, 0)), np.zeros_like(masses)):
        bare = pseudo_values(ranked, target, none, np.zeros(none.shape[1]), [5])
        for name in ("hr@5", "ndcg@5", "div_ratio@5", "or_ratio@5"):
            assert bare[name].tolist() == found[name].tolist()
        assert np.isnan(bare["mgu@5"]).all()
        assert np.isnan(bare["dgu@5"]).all()
