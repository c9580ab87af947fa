"""Keys: equal for equal stages, different for everything that can change an output."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from sprec.store.stage import RECIPE_DIGITS, Stage

SFT = Stage("sft", {"rows": 8, "rate": 1e-4, "modules": ["q", "v"]}, {"data": "d1", "weights": "w1"})


CODED = replace(SFT, code="c0de", versions={"torch": "2.6.0"})


def test_a_key_is_the_one_it_always_was():
    assert SFT.key == "11ae4c1306e5d6d50da04dd7ac232a9a"
    assert CODED.key == "11ae4c1306e5d6d50da0f5212ac45b25"


@pytest.mark.parametrize(
    "other",
    [
        SFT,
        replace(CODED, code="c0da"),
        replace(CODED, versions={"torch": "2.6.1"}),
        replace(CODED, versions={}),
    ],
)
def test_other_code_or_versions_share_the_first_part_of_the_key(other):
    assert other.key != CODED.key
    assert other.key[:RECIPE_DIGITS] == CODED.key[:RECIPE_DIGITS]


@pytest.mark.parametrize(
    "same",
    [
        Stage("sft", {"modules": ["q", "v"], "rate": 1e-4, "rows": 8}, {"weights": "w1", "data": "d1"}),
        Stage("sft", {"rows": 8.0, "rate": 0.0001, "modules": ("q", "v")}, dict(SFT.inputs)),
        Stage("sft", MappingProxyType(dict(SFT.settings)), MappingProxyType(dict(SFT.inputs))),
        Stage("sft", {"rows": 8, "rate": np.float64(1e-4), "modules": ["q", "v"]}, SFT.inputs),
    ],
    ids=["order", "spelling", "mapping", "float64"],
)
def test_equal_stages_have_one_key(same):
    assert same.key == SFT.key


@pytest.mark.parametrize(
    "other",
    [
        Stage("dpo", SFT.settings, SFT.inputs),
        Stage("sft", {**SFT.settings, "rows": 9}, SFT.inputs),
        Stage("sft", {**SFT.settings, "rate": 1.0000000001e-4}, SFT.inputs),
        Stage("sft", {**SFT.settings, "modules": ["v", "q"]}, SFT.inputs),
        Stage("sft", {**SFT.settings, "rows": "8"}, SFT.inputs),
        Stage("sft", {**SFT.settings, "extra": None}, SFT.inputs),
        Stage("sft", SFT.settings, {**SFT.inputs, "data": "d2"}),
        Stage("sft", SFT.settings, {"data": "w1", "weights": "d1"}),
    ],
    ids=["name", "int", "float", "list order", "type", "more", "input", "labels"],
)
def test_whatever_can_change_an_output_changes_the_key(other):
    assert other.key[:RECIPE_DIGITS] != SFT.key[:RECIPE_DIGITS]


def test_true_is_not_one():
    assert Stage("a", {"x": True}, {}).key != Stage("a", {"x": 1}, {}).key


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"sft\.settings\.x is nan; a stage needs finite numbers"),
        (float("inf"), r"sft\.settings\.x is inf"),
        ({1, 2}, r"sft\.settings\.x is of type set; use JSON values"),
        ([1, object()], r"sft\.settings\.x\[1\] is of type object"),
        ({"y": {3: 4}}, r"sft\.settings\.x\.y has the key 3; the keys of JSON are text"),
    ],
    ids=["nan", "infinite", "set", "object", "key"],
)
def test_what_json_cannot_hold_is_refused_by_name(value, message):
    with pytest.raises(ValueError, match=message):
        Stage("sft", {"x": value}, {})


@pytest.mark.parametrize("name", ["", "../sft", ".partial", "SFT", "a b"])
def test_a_name_must_be_a_folder_name(name):
    with pytest.raises(ValueError, match="must be lower-case letters"):
        Stage(name, {}, {})
