import numpy as np
import pytest

from sprec.llm import grounding
from sprec.llm.grounding import nearest


def plain(queries, catalog, k):
    distance = ((queries[:, None].astype(np.float64) - catalog[None]) ** 2).sum(-1)
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(grounding, "ITEMS", 7)
    monkeypatch.setattr(grounding, "QUERIES", 4)


@pytest.mark.parametrize("k", [1, 5, 9, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_find_what_sorting_all_distances_finds(small_blocks, k, dtype):
    rng = np.random.default_rng(0)
    queries, catalog = (rng.normal(size=(n, 16)).astype(dtype) for n in (11, 40))
    np.testing.assert_array_equal(nearest(queries, catalog, k=k), plain(queries, catalog, k))


def test_equal_titles_in_different_blocks_go_by_the_lower_id(small_blocks):
    rng = np.random.default_rng(1)
    few = rng.normal(size=(3, 16)).astype(np.float32)
    catalog = few[np.tile([0, 1, 2], 10)]
    assert nearest(few, catalog, k=10).tolist() == [list(range(i, 30, 3)) for i in range(3)]


def test_catalogue_smaller_than_k_is_ranked_whole(small_blocks):
    assert nearest(np.eye(2)[:1], np.eye(2), k=5).tolist() == [[0, 1]]


def test_all_items_equally_far_come_in_order_of_ids(small_blocks):
    assert nearest(np.zeros((1, 4)), np.tile(np.eye(4), (5, 1)), k=6).tolist() == [[0, 1, 2, 3, 4, 5]]
