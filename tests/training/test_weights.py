import numpy as np
import pytest

from sprec.data.examples import Example
from sprec.training.weights import genre_balance


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
