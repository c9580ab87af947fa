"""A named step of a method, and the key under which its output is stored."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

JSON: TypeAlias = "Mapping[str, JSON] | list[JSON] | tuple[JSON, ...] | str | int | float | bool | None"
"""The types that settings may hold."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_KEY_LENGTH = 32  # 128 bits: collisions are out of the question, and the folder name stays readable


@dataclass(frozen=True)
class Stage:
    """A step of a method with its settings and inputs.

    `version` is the code's: raise it when the same settings give another output. `inputs` maps everything the
    step reads to a digest or key. The constructor raises `ValueError` for a name that cannot be a folder's
    and for settings that JSON cannot hold.
    """

    name: str
    version: int
    settings: Mapping[str, JSON]
    inputs: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"stage name {self.name!r} must be lower-case letters, digits, _ and -")
        self.describe()  # raises for settings without a JSON form, before anything is computed

    @property
    def key(self) -> str:
        """32 hexadecimal digits, equal for equal stages.

        The order of mappings does not matter, 1.0 equals 1, and a tuple equals a list of the same items.

        >>> Stage("sft", 1, {"a": 8, "b": 1.0}, {}).key == Stage("sft", 1, {"b": 1, "a": 8}, {}).key
        True
        """
        text = json.dumps(self.describe(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]

    def describe(self) -> dict[str, JSON]:
        """Return the fields as plain JSON, of which the key is a hash."""
        return {
            "name": self.name,
            "version": self.version,
            "settings": _to_json(self.settings, f"{self.name}.settings"),
            "inputs": _to_json(self.inputs, f"{self.name}.inputs"),
        }


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
