"""The settings of a `_target_` held to the types that its constructor names: `no` is no bool, 1.5 no int."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from inspect import Parameter, signature
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sprec.boundaries import InputError, suggest

Node = Mapping[str, Any]


def check_settings(target: Callable[..., object], settings: Node, key: str) -> None:
    """Raise `InputError` with its dotted key for a setting that the target does not take, or of a wrong type.

    Types that are neither plain nor made of plain ones are left to the constructor.
    """
    parameters = signature(target).parameters
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    hints = typed_parameters(target)
    for name, value in settings.items():
        if name.startswith("_"):
            continue
        if name not in parameters and not takes_any:
            near = suggest(name, list(parameters))
            raise InputError(
                f"{key}: {target.__name__} got an unexpected keyword argument {name!r}{near}; "
                "leave that setting out"
            )
        if not fits(value, hints.get(name, Any)):
            raise InputError(f"{key}.{name}: {value!r} is not {type_name(hints[name])}; change {key}.{name}")


def fits(value: object, hint: Any) -> bool:
    """Return whether a value of a configuration is of this type; an int is a float, a list any sequence.

    >>> fits("no", bool), fits(True, int), fits(2, float), fits([1, 2], tuple[int, ...])
    (False, False, True, True)
    >>> fits(1, Literal[1, 2]), fits(True, Literal[1, 2]), fits(0, Literal[False])
    (True, False, False)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        # By type too: true is equal to 1.
        return any(type(value) is type(argument) and value == argument for argument in arguments)
    if hint in (None, NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool):
        return isinstance(value, hint)
    if origin in (list, tuple, Sequence):
        inner = [argument for argument in arguments if argument is not Ellipsis]
        return isinstance(value, list | tuple) and all(fits(item, inner[0]) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(fits(item, arguments[1]) for item in value.values())
    return True


def type_name(hint: Any) -> str:
    """Return the name of a type as a message has it.

    >>> type_name(bool), type_name(int | None), type_name(Literal["a", "b"])
    ('true or false', 'a whole number or null', "'a' or 'b'")
    """
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(type_name, get_args(hint)))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if hint in (None, NoneType):
        return "null"
    if get_origin(hint) in (list, tuple, Sequence):
        return f"a list of {type_name(get_args(hint)[0])}"
    return names.get(hint, str(hint))


def typed_parameters(target: Callable[..., object]) -> dict[str, Any]:
    """Return the types that the constructor names, as far as they are imported where it is defined."""
    constructor: Any = vars(target).get("__init__", target) if isinstance(target, type) else target
    names = getattr(constructor, "__globals__", {})
    hints: dict[str, Any] = {}
    for name, annotation in getattr(constructor, "__annotations__", {}).items():
        # One by one: a class that is imported for type checkers alone must not hide plain types beside it.
        with suppress(NameError, TypeError):
            hints |= get_type_hints(SimpleNamespace(__annotations__={name: annotation}), names)
    return hints
