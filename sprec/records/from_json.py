"""Frozen dataclasses from JSON and back, checked field by field.

Pydantic would do it too, but importing it and building the validators takes half a second, more than
reading a few hundred records, and it takes a missing field for its default.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
_LARGEST = 2**53  # beyond it a reader of JSON may get another integer; infinity and NaN are not below it


def encode_json(value: object) -> Any:
    """Return `value` in JSON's own types: dataclasses become dicts, tuples lists, NaN None.

    >>> encode_json({"scores": (1.0, float("nan"))})
    {'scores': [1.0, None]}
    """
    if is_dataclass(value):
        return {field.name: encode_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): encode_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encode_json(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def decode_json(kind: type[T], document: object, where: str = "") -> T:
    """Return an instance of the dataclass `kind` with the fields in `document`.

    Raises `ValueError`, one line with the field's dotted name (`where` is its prefix), for a field that is
    missing, unknown or of another type. A float may be null, which means NaN.
    """
    return cast("T", _decode_record(kind, document, where))


_hints = cache(get_type_hints)


@cache
def _shape(kind: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """Return a type's origin and arguments, and whether it is a dataclass (slow to look up each time)."""
    return get_origin(kind), get_args(kind), is_dataclass(kind)


def _decode_record(kind: Any, document: object, where: str) -> Any:
    if not isinstance(document, Mapping):
        raise ValueError(f"field {where!r} must be an object")
    hints = _hints(kind)
    prefix = f"{where}." if where else ""
    for name in document:
        if name not in hints:
            raise ValueError(f"field {prefix + name!r} is unknown")
    for name in hints:
        if name not in document:
            raise ValueError(f"field {prefix + name!r} is missing")
    return kind(**{name: _decode_value(hint, document[name], prefix + name) for name, hint in hints.items()})


def _decode_value(kind: Any, value: object, where: str) -> Any:
    origin, arguments, record = _shape(kind)
    if kind is object:
        return value
    if origin in (Union, UnionType):
        # The only unions in a record are `T | None`.
        return None if value is None else _decode_value(arguments[0], value, where)
    if record:
        return _decode_record(kind, value, where)
    if origin is tuple:
        return _decode_list(arguments[0], value, where)
    if origin is Mapping:
        return _decode_mapping(arguments[1], value, where)
    return _check_choice(arguments, value, where) if origin is Literal else _decode_scalar(kind, value, where)


def _decode_list(kind: Any, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"field {where!r} must be a list")
    if _is_plain(kind, value):  # the fast path of long lists
        return tuple(value)
    return tuple(_decode_value(kind, inner, f"{where}[{index}]") for index, inner in enumerate(value))


def _decode_mapping(kind: Any, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"field {where!r} must be an object")
    if _is_plain(kind, value.values()):
        return dict(value)
    return {name: _decode_value(kind, inner, f"{where}.{name}") for name, inner in value.items()}


def _is_plain(kind: Any, values: Collection[Any]) -> bool:
    """Return whether all values are of one plain type, and numbers within bounds."""
    if kind not in (float, int, str) or not set(map(type, values)) <= {kind}:
        return False
    return kind is str or all(abs(value) < _LARGEST for value in values)


def _check_choice(allowed: tuple[Any, ...], value: object, where: str) -> object:
    if value not in allowed:
        raise ValueError(f"field {where!r} is {value!r}, not one of {', '.join(allowed)}")
    return value


def _decode_scalar(kind: Any, value: object, where: str) -> object:
    if kind is float and value is None:
        return math.nan
    if kind in (float, int) and type(value) in (float, int) and not abs(cast("float", value)) < _LARGEST:
        raise ValueError(f"field {where!r} is {str(value)[:40]}, which no record can hold")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # not isinstance: True is an int, and a record has it only by mistake
        raise ValueError(f"field {where!r} is {value!r}, not {kind.__name__}")
    return value
