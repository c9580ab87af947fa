import numpy as np
import pytest

from sprec.data.examples import Example
from sprec.training.row_weights import GenreBalance, genre_balance


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
    masses = np.eye(2)
    rows = [Example((0, 1), 0), Example((0, 1), 0), Example((0, 1), 0), Example((0, 1), 1)]
    # histories: 4 of 8 genre 0; histories and targets: 7 of 12 genre 0, 5 of 12 genre 1
    first, second = (4 / 8) / (7 / 12), (4 / 8) / (5 / 12)
    assert GenreBalance(accumulated=True)(rows, masses).tolist() == pytest.approx([first] * 3 + [second])
    long = [Example((0, 1) * 5, row.target) for row in rows]
    # ten items a history, as the paper's: 23 of 44 and 21 of 44
    assert GenreBalance(accumulated=True)(long, masses).tolist() == pytest.approx([22 / 23] * 3 + [22 / 21])
    assert GenreBalance()(long, masses).tolist() == pytest.approx([2 / 3] * 3 + [2])
