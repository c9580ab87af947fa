"""A named step and the key under which its output is stored."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

JSON: TypeAlias = "Mapping[str, JSON] | list[JSON] | tuple[JSON, ...] | str | int | float | bool | None"
"""What settings can hold."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_KEY_LENGTH = 32


@dataclass(frozen=True)
class Stage:
    """A step of a method: what it is, with which settings, on which inputs.

    `version` is that of the code: raise it when the same settings give another output. `inputs`
    names the digest or key of everything the step reads. The constructor raises `ValueError` for
    a name that is no folder name and for settings that JSON cannot hold.
    """

    name: str
    version: int
    settings: Mapping[str, JSON]
    inputs: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"stage name {self.name!r} must be lower-case letters, digits, _ and -")
        self.described()

    @property
    def key(self) -> str:
        """32 hexadecimal digits: equal for equal stages, whatever the order of their mappings.

        Equal numbers are equal settings: 1.0 counts as 1, and a tuple as the list of its items.

        >>> Stage("sft", 1, {"a": 8, "b": 1.0}, {}).key == Stage("sft", 1, {"b": 1, "a": 8}, {}).key
        True
        """
        text = json.dumps(self.described(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]

    def described(self) -> dict[str, JSON]:
        """Return the four fields as plain JSON, which is what the key is the hash of."""
        return {
            "name": self.name,
            "version": self.version,
            "settings": _canonical(self.settings, f"{self.name}.settings"),
            "inputs": _canonical(self.inputs, f"{self.name}.inputs"),
        }


def _canonical(value: object, where: str) -> JSON:
    if isinstance(value, Mapping):
        return {_text(name, where): _canonical(inner, f"{where}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    if isinstance(value, float):
        return _number(value, where)
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"{where} is of type {type(value).__name__}; use JSON values or a file's digest")


def _text(name: object, where: str) -> str:
    if isinstance(name, str):
        return name
    raise ValueError(f"{where} has the key {name!r}; the keys of JSON are text")


def _number(value: float, where: str) -> int | float:
    if not math.isfinite(value):
        raise ValueError(f"{where} is {value}; a stage needs finite numbers, or null for none")
    return int(value) if value.is_integer() else value
