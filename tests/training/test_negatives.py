import numpy as np

from sprec.data.catalog import Catalog
from sprec.data.examples import Example
from sprec.training.negatives import Random, SelfPlay

CATALOG = Catalog(("A", "B", "C", "D"), ((),) * 4)


def never(examples, rng):
    raise AssertionError("random negatives need no model")


def test_random_negatives_are_never_the_target_or_in_the_history():
    example = Example((0, 1), 2)
    drawn = Random()([example] * 50, CATALOG, never, np.random.default_rng(0))
    assert drawn == [["D"]] * 50


def test_random_has_no_negative_where_the_catalogue_is_used_up():
    assert Random(count=2)([Example((0, 1), 2)], CATALOG, never, np.random.default_rng(0)) == [[]]


def test_self_play_takes_the_written_titles_and_drops_empty_ones():
    rows = [Example((0,), 1)] * 2
    assert SelfPlay()(rows, CATALOG, lambda e, r: ["C", ""], np.random.default_rng(0)) == [["C"], []]
