"""Every strategy proposes to a row what that row may get, where rows of two users alternate."""

from dataclasses import dataclass

import numpy as np
import pytest

from sprec.data.catalog import Catalog
from sprec.data.examples import Example
from sprec.negatives import (
    Balanced,
    Beams,
    Ches,
    Exposure,
    GroundedSelfPlay,
    InBatch,
    Mixture,
    Popular,
    Random,
    SamplerContext,
    SelfPlay,
    Semantic,
    describe_sampler,
)

ALLOWED = {Example((0, 1), 2): "DEF", Example((3, 4), 5): "ABC"}
ROWS = list(ALLOWED) * 40


DEGREES = dict(zip("ABCDEF", (0, 40, 120, 180, 250, 300), strict=True))


class Circle:
    """An embedder that puts the titles A to F on a circle, at `DEGREES`."""

    def digest(self):
        return "circle"

    def embed(self, titles):
        angles = np.radians([DEGREES[title] for title in titles])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@dataclass(frozen=True)
class Knowing(SamplerContext):
    """A context whose model writes and searches, for each row, what this row alone may get."""

    def write_titles(self, examples, rng, *, count=1):
        return [list(ALLOWED[example])[:count] for example in examples]

    def best_items(self, examples, *, k):
        own = [[example.target, *map("ABCDEF".index, ALLOWED[example])] for example in examples]
        return np.array([(items + [-1] * k)[:k] for items in own])

    def mean_hidden_states(self, examples, answers):
        return np.array([[[1.0, item] for item in items] for items in answers])


def never():
    raise AssertionError("these strategies need no model but the one above")


def context():
    catalog = Catalog(tuple("ABCDEF"), ((),) * 6)
    return Knowing(catalog, np.array((3, 2, 1) * 2), (), Circle(), None, never, 100)


def rng():
    return np.random.default_rng(0)


STRATEGIES = [
    *(Random(), Random(3), Popular(), Popular(3), InBatch(batch_rows=8)),
    *(Semantic(similar=True), Semantic(similar=False, to="history", count=2)),
    *(Ches(candidates=2), Ches(similar=False, count=3)),
    *(Beams(wrong_only=True), Exposure("low", count=2), Exposure("high"), Balanced()),
    *(SelfPlay(2), GroundedSelfPlay()),
]
PAIRS = [
    {"a": Random(2), "b": Popular(2)},
    {"a": Semantic(similar=True, count=2), "b": SelfPlay(2)},
    {"a": Ches(count=2), "b": Exposure("low", count=2)},
]
MIXTURES = [Mixture(parts, {"a": 2, "b": 1}, 2) for parts in PAIRS]


@pytest.mark.parametrize("strategy", STRATEGIES + MIXTURES, ids=describe_sampler)
def test_each_row_gets_titles_that_it_may_get(strategy):
    proposed = strategy(ROWS, context(), rng())
    assert [len(titles) for titles in proposed] == [strategy.count] * len(ROWS)
    for row, titles in zip(ROWS, proposed, strict=True):
        assert set(titles) <= set(ALLOWED[row])


@pytest.mark.parametrize("strategy", [Random(), Popular(), Ches(candidates=1)], ids=describe_sampler)
def test_over_many_rows_all_that_a_row_may_get_is_proposed(strategy):
    proposed = strategy(ROWS, context(), rng())
    assert [{title for [title] in proposed[start::2]} for start in (0, 1)] == [set("DEF"), set("ABC")]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Semantic(similar=True), ["D", "A"]),
        (Semantic(similar=False), ["F", "C"]),
        (Semantic(similar=True, to="history"), ["F", "C"]),
        (Semantic(similar=False, to="history"), ["D", "B"]),
    ],
    ids=["near target", "far from target", "near history", "far from history"],
)
def test_semantic_measures_from_the_rows_own_target_or_history(strategy, expected):
    """Degrees to D, E, F from C: 60, 130, 180, from A and B: 160, 130, 80; to A, B, C from F: 60, 100, 180,
    from D and E: 145, 175, 95.
    """
    proposed = strategy(ROWS, context(), rng())
    assert [titles[0] for titles in proposed] == expected * 40


@pytest.mark.parametrize("shares", [(1, 0), (0, 1)])
def test_a_mixture_of_one_part_is_that_part_for_each_row(shares):
    parts = {"a": Semantic(similar=True, count=2), "b": Exposure("low", count=2)}
    mixture = Mixture(parts, dict(zip(parts, shares, strict=True)), 2)
    part = parts["ab"[shares.index(1)]]
    assert mixture(ROWS, context(), rng()) == part(ROWS, context(), rng())
