"""Recommendation lists as text."""

import numpy as np
import pytest

from sprec.records.encoded_ids import decode_ids, encode_ids


def test_there_and_back_for_any_width():
    lists = np.random.default_rng(0).integers(-1, 60_000, (1000, 5))
    assert (decode_ids(encode_ids(lists), 5) == lists).all()
    assert (decode_ids(encode_ids(lists[:, :1]), 1) == lists[:, :1]).all()
    assert decode_ids("", 5).shape == (0, 5)


def test_a_thousand_lists_of_few_items_are_small():
    lists = np.random.default_rng(0).integers(0, 30, (1000, 5))
    assert len(encode_ids(lists)) < 8000


@pytest.mark.parametrize("text", ["not packed", "eJxj", encode_ids(np.array([[1, 2, 3]]))])
def test_what_is_no_packed_list_is_refused(text):
    with pytest.raises(ValueError, match="no encoded lists of 2 items"):
        decode_ids(text, 2)


def test_an_id_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit into 32 bits"):
        encode_ids(np.array([[2**31]]))
