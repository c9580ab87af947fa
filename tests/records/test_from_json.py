"""Dataclasses from JSON and back, each field checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from sprec.records.from_json import decode_json, encode_json


@dataclass(frozen=True)
class Point:
    x: float
    label: str | None


@dataclass(frozen=True)
class Path:
    points: tuple[Point, ...]
    counts: Mapping[str, int]


DOCUMENT = {"points": [{"x": 1.5, "label": None}, {"x": 2.0, "label": "end"}], "counts": {"a": 1}}
PATH = Path((Point(1.5, None), Point(2.0, "end")), {"a": 1})


def test_there_and_back():
    assert decode_json(Path, DOCUMENT) == PATH
    assert encode_json(PATH) == DOCUMENT


def test_nan_is_null():
    assert encode_json(Point(math.nan, None)) == {"x": None, "label": None}
    assert math.isnan(decode_json(Point, {"x": None, "label": None}).x)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"x": 1.0}, "field 'label' is missing"),
        ({"x": 1.0, "label": None, "y": 2}, "field 'y' is unknown"),
        ({"x": True, "label": None}, "field 'x' is True, not float"),
        ({"x": 1.0, "label": 3}, "field 'label' is 3, not str"),
    ],
)
def test_a_field_that_does_not_fit_is_named(document, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        decode_json(Point, document)
