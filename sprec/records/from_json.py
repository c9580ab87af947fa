"""Frozen dataclasses from JSON and back, checked field by field."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: object) -> Any:
    """Return `value` as JSON would hold it: dataclasses as dict, tuples as list, NaN as None.

    >>> plain({"scores": (1.0, float("nan"))})
    {'scores': [1.0, None]}
    """
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def decode(kind: type[T], document: object, where: str = "") -> T:
    """Return the dataclass `kind` whose fields `document` holds; `where` is the name of its own field.

    Raises `ValueError`, one line with the field's dotted name, for a field that is missing,
    unknown or of another type. A float that is null is NaN.
    """
    return cast("T", _record(kind, document, where))


_hints = cache(get_type_hints)


@cache
def _shape(kind: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """Return origin and arguments of a type, and whether it is a dataclass."""
    return get_origin(kind), get_args(kind), is_dataclass(kind)


def _record(kind: Any, document: object, where: str) -> Any:
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
    return kind(**{name: _value(hint, document[name], prefix + name) for name, hint in hints.items()})


def _value(kind: Any, value: object, where: str) -> Any:
    origin, arguments, record = _shape(kind)
    if kind is object:
        return value
    if origin in (Union, UnionType):
        return None if value is None else _value(arguments[0], value, where)
    if record:
        return _record(kind, value, where)
    if origin is tuple:
        return _items(arguments[0], value, where)
    if origin is Mapping:
        return _mapping(arguments[1], value, where)
    return _choice(arguments, value, where) if origin is Literal else _scalar(kind, value, where)


def _items(kind: Any, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"field {where!r} must be a list")
    if kind in (float, int, str) and set(map(type, value)) <= {kind}:
        return tuple(value)
    return tuple(_value(kind, inner, f"{where}[{index}]") for index, inner in enumerate(value))


def _mapping(kind: Any, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"field {where!r} must be an object")
    if kind in (float, int, str) and set(map(type, value.values())) <= {kind}:
        return dict(value)
    return {name: _value(kind, inner, f"{where}.{name}") for name, inner in value.items()}


def _choice(allowed: tuple[Any, ...], value: object, where: str) -> object:
    if value not in allowed:
        raise ValueError(f"field {where!r} is {value!r}, not one of {', '.join(allowed)}")
    return value


def _scalar(kind: Any, value: object, where: str) -> object:
    if kind is float and value is None:
        return math.nan
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"field {where!r} is {value!r}, not {kind.__name__}")
    return value
