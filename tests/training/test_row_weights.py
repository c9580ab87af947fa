import numpy as np
import pytest

from sprec.data.examples import Example
from sprec.training.row_weights import GenreBalance, ItemGenres, genre_balance


def test_genres_that_targets_neglect_weigh_more_and_targets_without_genre_weigh_one():
    masses = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    rows = [
        Example((0, 1), 0),
        Example((0, 1), 0),
        Example((0, 1), 1),
        Example((0, 1), 3),
        Example((0, 1), 2),
    ]
    # histories: 1/2 each; targets: 2.5 of 4 genre 0, 1.5 of 4 genre 1
    first, second = 0.5 / 0.625, 0.5 / 0.375
    assert genre_balance(rows, masses).tolist() == pytest.approx(
        [first, first, second, 1.0, (first + second) / 2]
    )


def test_released_weights_count_targets_on_top_of_histories_and_come_to_one():
    rows = [Example((0, 1), 0), Example((0, 1), 0), Example((0, 1), 0), Example((0, 1), 1)]
    # histories: 4 of 8 genre 0; histories and targets: 7 of 12 genre 0, 5 of 12 genre 1
    first, second = (4 / 8) / (7 / 12), (4 / 8) / (5 / 12)
    genres = ItemGenres((("A",), ("B",)), ("A", "B"))
    released = GenreBalance(accumulated=True)
    assert released(rows, rows, genres).tolist() == pytest.approx([first] * 3 + [second])
    long = [Example((0, 1) * 5, row.target) for row in rows]
    # ten items a history, as the paper's: 23 of 44 and 21 of 44
    assert released(long, long, genres).tolist() == pytest.approx([22 / 23] * 3 + [22 / 21])
    assert GenreBalance()(long, long, genres).tolist() == pytest.approx([2 / 3] * 3 + [2])


def test_shares_may_be_those_of_all_training_rows():
    """All rows: histories half and half, five of eight targets genre 0; the stage's own rows: one of two."""
    genres = ItemGenres((("A",), ("B",)), ("A", "B"))
    own = [Example((0, 1), 0), Example((0, 1), 1)]
    train = [*own, *[Example((0, 1), 0)] * 4, *[Example((0, 1), 1)] * 2]
    assert GenreBalance()(own, train, genres).tolist() == pytest.approx([1, 1])
    whole = GenreBalance(whole_training_data=True)
    assert whole(own, train, genres).tolist() == pytest.approx([0.5 / 0.625, 0.5 / 0.375])


def test_an_item_may_be_split_over_all_its_genres():
    """B is not selected: the second item counts as A alone, or as half A and half B."""
    genres = ItemGenres((("A",), ("A", "B")), ("A",))
    assert genres.masses(all_genres=False).tolist() == [[1.0], [1.0]]
    assert genres.masses(all_genres=True).tolist() == [[1.0, 0.0], [0.5, 0.5]]
    rows = [Example((0,), 1), Example((0,), 0)]
    # histories: A alone; targets: .75 A, .25 B; the first target has both genres
    weights = GenreBalance(all_genres=True)(rows, rows, genres)
    assert weights.tolist() == pytest.approx([(1 / 0.75 + 0) / 2, 1 / 0.75])
