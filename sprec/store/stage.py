"""A named step of a method, and the key under which its output is stored."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

JSON: TypeAlias = "Mapping[str, JSON] | list[JSON] | tuple[JSON, ...] | str | int | float | bool | None"
"""The types that settings may hold."""

STAGE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
KEY = re.compile(r"[0-9a-f]{32}")
# 128 bits in all: collisions are out of the question, and the folder name stays readable.
RECIPE_DIGITS, _CODE_DIGITS = 20, 12


@dataclass(frozen=True)
class Stage:
    """A step of a method: its settings and inputs, and the code that computes it.

    `inputs` maps everything the step reads to a digest or key. `code` is the digest of the code that computes
    it (`sprec.store.code_digest`), `versions` are those of the libraries that its numbers depend on. The
    constructor raises `ValueError` for a name that cannot be a folder's and settings that JSON cannot hold.
    """

    name: str
    settings: Mapping[str, JSON]
    inputs: Mapping[str, str]
    code: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not STAGE_NAME.fullmatch(self.name):
            raise ValueError(f"stage name {self.name!r} must be lower-case letters, digits, _ and -")
        self.describe()  # raises for settings without a JSON form, before anything is computed

    @property
    def key(self) -> str:
        """32 hexadecimal digits, equal for equal stages.

        The first 20 stand for name, settings and inputs: stages that differ by their code alone share them.
        The order of mappings does not matter, 1.0 equals 1, and a tuple equals a list of the same items.

        >>> Stage("sft", {"a": 8, "b": 1.0}, {}).key == Stage("sft", {"b": 1, "a": 8}, {}).key
        True
        """
        description = self.describe()
        code = {name: description.pop(name) for name in ("code", "versions")}
        return _digest(description)[:RECIPE_DIGITS] + _digest(code)[:_CODE_DIGITS]

    def describe(self) -> dict[str, JSON]:
        """Return the fields as plain JSON, of which the key is a hash."""
        return {
            "name": self.name,
            "settings": _to_json(self.settings, f"{self.name}.settings"),
            "inputs": _to_json(self.inputs, f"{self.name}.inputs"),
            "code": self.code,
            "versions": _to_json(self.versions, f"{self.name}.versions"),
        }


def _digest(document: Mapping[str, JSON]) -> str:
    # Every stored key is a hash of this very text: another option here makes all stages unknown.
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_json(value: object, where: str) -> JSON:
    if isinstance(value, Mapping):
        return {_check_name(name, where): _to_json(inner, f"{where}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    if isinstance(value, float):
        return _to_number(value, where)
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"{where} is of type {type(value).__name__}; use JSON values or a file's digest")


def _check_name(name: object, where: str) -> str:
    if isinstance(name, str):
        return name
    raise ValueError(f"{where} has the key {name!r}; the keys of JSON are text")


def _to_number(value: float, where: str) -> int | float:
    if not math.isfinite(value):
        raise ValueError(f"{where} is {value}; a stage needs finite numbers, or null for no value")
    # YAML's 1e0 and 1 must give one key; JSON would write 1.0 and 1.
    return int(value) if value.is_integer() else value
