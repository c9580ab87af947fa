"""Random streams: equal for equal names, whatever ran before."""

import numpy as np
import pytest

from sprec.seeds import derive_seed, stream


def draw(seed, *names):
    return stream(seed, *names).integers(1000, size=3).tolist()


def test_a_name_gives_the_numbers_it_always_gave():
    assert draw(0, "negatives", 1) == [511, 599, 602]
    assert derive_seed(0, "x") == 8730718209362845187


def test_what_ran_before_does_not_matter():
    expected = draw(3, "examples")
    np.random.seed(1)
    stream(3, "examples").random(100)
    stream(3, "negatives").random(7)
    assert draw(3, "examples") == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, "a"), (1, "a")),
        ((0, "a", "b"), (0, "ab")),
        ((0, "a", 1), (0, "a", "1")),
        ((0, "a", 1), (0, "a", 2)),
        ((0, 1), (0, 1, 0)),
        ((1, 0), (10,)),
    ],
)
def test_different_names_are_different_streams(one, other):
    assert draw(*one) != draw(*other)
    assert derive_seed(*one) != derive_seed(*other)


def test_derive_seed_seeds_fill_63_bits():
    seeds = [derive_seed(seed, "torch") for seed in range(200)]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62
