"""Keys: equal for equal stages, different for everything that can change an output."""

from types import MappingProxyType

import numpy as np
import pytest

from sprec.store.stage import Stage

SFT = Stage("sft", 1, {"rows": 8, "rate": 1e-4, "modules": ["q", "v"]}, {"data": "d1", "weights": "w1"})


def test_a_key_is_the_one_it_always_was():
    assert SFT.key == "b00c7dc8cdc8c2748a467c79ced515fa"


@pytest.mark.parametrize(
    "same",
    [
        Stage("sft", 1, {"modules": ["q", "v"], "rate": 1e-4, "rows": 8}, {"weights": "w1", "data": "d1"}),
        Stage("sft", 1, {"rows": 8.0, "rate": 0.0001, "modules": ("q", "v")}, dict(SFT.inputs)),
        Stage("sft", 1, MappingProxyType(dict(SFT.settings)), MappingProxyType(dict(SFT.inputs))),
        Stage("sft", 1, {"rows": 8, "rate": np.float64(1e-4), "modules": ["q", "v"]}, SFT.inputs),
    ],
    ids=["order", "spelling", "mapping", "float64"],
)
def test_equal_stages_have_one_key(same):
    assert same.key == SFT.key


@pytest.mark.parametrize(
    "other",
    [
        Stage("dpo", 1, SFT.settings, SFT.inputs),
        Stage("sft", 2, SFT.settings, SFT.inputs),
        Stage("sft", 1, {**SFT.settings, "rows": 9}, SFT.inputs),
        Stage("sft", 1, {**SFT.settings, "rate": 1.0000000001e-4}, SFT.inputs),
        Stage("sft", 1, {**SFT.settings, "modules": ["v", "q"]}, SFT.inputs),
        Stage("sft", 1, {**SFT.settings, "rows": "8"}, SFT.inputs),
        Stage("sft", 1, {**SFT.settings, "extra": None}, SFT.inputs),
        Stage("sft", 1, SFT.settings, {**SFT.inputs, "data": "d2"}),
        Stage("sft", 1, SFT.settings, {"data": "w1", "weights": "d1"}),
    ],
    ids=["name", "version", "int", "float", "list order", "type", "more", "input", "labels"],
)
def test_whatever_can_change_an_output_changes_the_key(other):
    assert other.key != SFT.key


def test_true_is_not_one():
    assert Stage("a", 1, {"x": True}, {}).key != Stage("a", 1, {"x": 1}, {}).key


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
        Stage("sft", 1, {"x": value}, {})


@pytest.mark.parametrize("name", ["", "../sft", ".partial", "SFT", "a b"])
def test_a_name_must_be_a_folder_name(name):
    with pytest.raises(ValueError, match="must be lower-case letters"):
        Stage(name, 1, {}, {})
