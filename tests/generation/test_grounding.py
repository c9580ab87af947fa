import numpy as np
import pytest

from sprec.data.catalog import Catalog
from sprec.data.examples import Example
from sprec.generation import grounding
from sprec.generation.grounding import CharacterNgrams, catalog_vectors, find_nearest, ground_titles
from sprec.generation.rankers import GroundedRanker, RankingTask


def plain(queries, catalog, k):
    distance = ((queries[:, None].astype(np.float64) - catalog[None]) ** 2).sum(-1)
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(grounding, "DISTANCES_PER_BLOCK", 4 * 40)
    monkeypatch.setattr(grounding, "PAIRS_PER_BLOCK", 7)


@pytest.mark.parametrize("k", [1, 5, 9, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_find_what_sorting_all_distances_finds(small_blocks, k, dtype):
    rng = np.random.default_rng(0)
    queries, catalog = (rng.normal(size=(n, 16)).astype(dtype) for n in (11, 40))
    np.testing.assert_array_equal(find_nearest(queries, catalog, k=k), plain(queries, catalog, k))


def test_equal_titles_in_different_blocks_go_by_the_lower_id(small_blocks):
    rng = np.random.default_rng(1)
    few = rng.normal(size=(3, 16)).astype(np.float32)
    catalog = few[np.tile([0, 1, 2], 10)]
    assert find_nearest(few, catalog, k=10).tolist() == [list(range(i, 30, 3)) for i in range(3)]


def test_catalogue_smaller_than_k_is_ranked_whole(small_blocks):
    assert find_nearest(np.eye(2)[:1], np.eye(2), k=5).tolist() == [[0, 1]]


def test_all_items_equally_far_come_in_order_of_ids(small_blocks):
    assert find_nearest(np.zeros((1, 4)), np.tile(np.eye(4), (5, 1)), k=6).tolist() == [[0, 1, 2, 3, 4, 5]]


class Counting:
    """An embedder that notes what it is asked for."""

    def __init__(self):
        self.asked = []

    def digest(self):
        return str(id(self))

    def embed(self, titles):
        self.asked.append(list(titles))
        return np.array([[float(len(title)), 1.0] for title in titles])


def test_catalogue_is_embedded_once_and_equal_written_titles_are_ranked_once():
    embedder, titles = Counting(), ("a", "bbb", "ccccc")
    found = [ground_titles(["bb", "ddddd", "bb"], embedder, titles, k=1).tolist() for _ in range(2)]
    assert found == [[[0], [2], [0]]] * 2
    assert embedder.asked == [["bb", "ddddd"], list(titles), ["bb", "ddddd"]]


def test_vectors_are_those_of_the_catalogue_asked_for():
    embedder = Counting()
    assert catalog_vectors(embedder, ("a", "bb")).tolist() == [[1, 1], [2, 1]]
    assert catalog_vectors(embedder, ("a", "bbb")).tolist() == [[1, 1], [3, 1]]


def test_without_the_history_lists_are_as_long_as_asked_for():
    """ "bb" is 1, 1, 3 and 5 characters from the titles; without the first the next two are nearest."""
    titles = ("a", "bbb", "ccccc", "ddddddd")
    catalog = Catalog(titles, ((),) * 4)
    task = RankingTask(catalog, [Example((0,), 3)], ["bb"], load=list, batch_tokens=1)
    assert GroundedRanker(Counting(), exclude_history=True)(task, k=2).tolist() == [[1, 2]]
    assert GroundedRanker(Counting())(task, k=2).tolist() == [[0, 1]]


def test_a_title_written_as_the_catalogue_has_it_is_its_own_nearest_where_others_share_its_vector():
    """N-grams read "Ran", "RAN" and "ran" as one; what no item has goes by the lower id."""
    titles = ("Ran", "Heat", "RAN", "ran")
    ranked = ground_titles(["Ran", "RAN", "ran", "rAN"], CharacterNgrams(), titles, k=3)
    assert ranked.tolist() == [[0, 2, 3], [2, 0, 3], [3, 0, 2], [0, 2, 3]]
    assert ground_titles(["ran"], CharacterNgrams(), titles, k=1).tolist() == [[3]]


def test_titles_that_share_a_vector_are_counted_once(caplog):
    titles = ("Ran", "Heat", "RAN", "heat", "HEAT", "Alien")
    with caplog.at_level("INFO", logger=grounding.__name__):
        for _ in range(2):
            catalog_vectors(CharacterNgrams(size=64), titles)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "embeddings: 5 of 6 titles share their vector with another one"
    ]
