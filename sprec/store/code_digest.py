"""A digest of the code that computes a stage: what its objects are made of, and all that this refers to.

The unit is the definition (a function, class or assignment at the top level of a module), not the file:
then an edited ranker leaves alone the samplers that share a helper with it. Starting from the stage's
objects, names are followed through the syntax trees, annotations included, within the package and across
its imports. Comments, docstrings and layout are not in a syntax tree, so editing them changes nothing.
Libraries are left out: stage keys name their versions.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import FunctionType, MethodType

from sprec.store.module_source import (
    HOME,
    ModuleSource,
    Symbol,
    followed_files,
    is_followed,
    load_source,
    normalise,
    source_file,
    uses,
)
from sprec.store.running_code import refuse_edited, remember

PLUMBING = tuple(f"sprec.{name}" for name in ("store", "records", "report", "progress", "costs"))
"""Modules that show, store or estimate what others compute: editing them changes no stage."""

SHALLOW = "sprec.experiment"
"""The package that puts objects together: of its functions only the text counts, since their annotations name
all that a run can consist of. Callers name the objects themselves."""

LIBRARIES = ("torch", "transformers", "peft", "lightning", "tokenizers", "numpy")
"""Libraries that compute a model's numbers: another version is another key."""

_EFFECTS = "!"  # in place of a name: the statements that act when the module is imported
_DIGITS = 12


def code_digest(*objects: object) -> str:
    """Return 12 hexadecimal digits for the code behind these functions, methods, classes and instances.

    Instances count with their class and with what their fields hold, partial functions with their arguments.
    Raises `ValueError` for code without Python source, and for code that was edited before this process has
    imported it.
    """
    total = hashlib.sha256()
    symbols = sorted(reachable(symbol for value in objects for symbol in _symbols_of(value)))
    for module in {symbol.module for symbol in symbols if is_followed(symbol.module)}:
        refuse_edited(module)
    for symbol in symbols:
        total.update(f"{symbol.module}:{symbol.name}:{_digest(symbol)}\n".encode())
    return total.hexdigest()[:_DIGITS]


def foreign_names(*objects: object) -> list[str]:
    """Return by module and name the definitions outside this package that these objects are made of.

    The text of an instance names its class alone, and two modules may each have a class of one name.
    """
    symbols = {symbol for value in objects for symbol in _symbols_of(value)}
    return sorted(f"{module}.{name}" for module, name in symbols if module.partition(".")[0] != HOME)


def remember_code() -> None:
    """Take the files of what is imported, and of this package, as the code that this process runs.

    A key is made just before its stage, perhaps hours after its code was imported; the file may be another by
    then. Called again after a late import, so that what is edited from there on matters no more. Raises
    `ValueError` for code that was edited before its import.
    """
    remember({name: path for name, path in followed_files().items() if not name.startswith(PLUMBING)})


@cache
def library_versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return the installed versions of these libraries, without importing any; "" for one that is missing."""
    return {name: _version(name) for name in names}


def reachable(roots: Iterable[Symbol]) -> set[Symbol]:
    """Return the roots and everything that they refer to, however indirectly."""
    reached: set[Symbol] = set()
    waiting = list(roots)
    while waiting:
        symbol = waiting.pop()
        if symbol not in reached and not symbol.module.startswith(PLUMBING):
            reached.add(symbol)
            waiting += _references(symbol)
    return reached


def _symbols_of(value: object, seen: frozenset[int] = frozenset()) -> Iterator[Symbol]:
    """Yield the definitions of a function or class, or of an instance's class and of what it holds."""
    if id(value) in seen or value is None or isinstance(value, str | bytes | int | float):
        return
    # `seen` is the way down to the value and no more: an id is unique only while its object lives.
    seen |= {id(value)}
    if isinstance(value, type | FunctionType):
        yield _symbol(value.__module__, value.__qualname__)
    elif isinstance(value, MethodType):
        owner = type(value.__self__)
        yield _symbol(owner.__module__, f"{owner.__qualname__}.{value.__name__}")
    elif is_followed(type(value).__module__):
        yield _symbol(type(value).__module__, type(value).__qualname__)
    elif len(seen) == 1 and not isinstance(value, partial | Mapping | list | tuple):
        yield _symbol(type(value).__module__, type(value).__qualname__)  # held by ours, it would be data
    for inner in _held_by(value):
        yield from _symbols_of(inner, seen)


def _held_by(value: object) -> list[object]:
    """Return the objects in a container, in a partial function, or in the fields of an instance of ours."""
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, type | FunctionType | MethodType) or not is_followed(type(value).__module__):
        return []
    # Of a dataclass the fields alone: what a cached property holds depends on what was asked before.
    names = (field.name for field in fields(value)) if is_dataclass(value) else getattr(value, "__dict__", ())
    return [getattr(value, name) for name in names]


def _symbol(module: str, qualified_name: str) -> Symbol:
    # What is defined inside a function changes with that function.
    return Symbol(module, qualified_name.partition(".<locals>")[0])


@cache
def _references(symbol: Symbol) -> list[Symbol]:
    """Return what a definition refers to, and what importing its module does."""
    if not is_followed(symbol.module) or symbol.module.startswith(SHALLOW):
        return []
    module, first = load_source(symbol.module), symbol.name.partition(".")[0]
    if symbol.name == _EFFECTS:
        return [reference for node in module.effects for reference in _used_symbols(symbol, node)]
    references = [Symbol(symbol.module, _EFFECTS)]
    if first in module.imports and first not in module.definitions:
        return [*references, module.imports[first]]
    if first and first not in module.definitions and source_file(submodule := f"{symbol.module}.{first}"):
        references.append(Symbol(submodule, ""))  # `import package`, then `package.module`
    for node in module.statements(symbol.name) if first else module.body:
        references += _used_symbols(symbol, node)
    return references


def _used_symbols(symbol: Symbol, node: ast.AST) -> Iterator[Symbol]:
    """Yield the definitions that a statement of a symbol's module refers to by name."""
    module, (owner, _, method) = load_source(symbol.module), symbol.name.partition(".")
    for use in uses(node):
        # Methods count one by one: `self.draw` leads to that method alone, and a field of self to nothing.
        if use.name == "self" and method:
            if use.attribute in module.methods(owner):
                yield Symbol(symbol.module, f"{owner}.{use.attribute}")
            continue
        # A method that names itself, as stages do for their keys, asks for nothing else of its class.
        if method and (use.name, use.attribute) == (owner, method):
            continue
        if (used := _resolve(module, use.name)) is None:
            continue
        if use.of_instance:
            yield from _attribute_of_instance(used, use.attribute)
        elif use.attribute and not used.name:
            yield Symbol(used.module, use.attribute)
        else:
            yield used


def _resolve(module: ModuleSource, name: str) -> Symbol | None:
    """Return what a name in a module stands for, or None if it is a local variable or a library's."""
    if name in module.definitions:
        return Symbol(module.name, name)
    return module.imports.get(name)


def _attribute_of_instance(symbol: Symbol, attribute: str) -> Iterator[Symbol]:
    """Yield the method or property that an instance of a class is asked for.

    Of a field nothing is followed: what it holds was made elsewhere, from objects that are named as roots. An
    inherited method, or a name that is no class, counts with the whole definition.
    """
    # A package's __init__ may name again what another module defines: go to where it is written.
    while (module := load_source(symbol.module)) and symbol.name in module.imports:
        if symbol.name in module.definitions:
            break
        symbol = module.imports[symbol.name]
    if attribute in module.methods(symbol.name):
        yield Symbol(symbol.module, f"{symbol.name}.{attribute}")
    elif not all(
        isinstance(node, ast.ClassDef) and not node.bases for node in module.statements(symbol.name)
    ):
        yield symbol


@cache
def _digest(symbol: Symbol) -> str:
    """Return the SHA-256 hex of a definition; of a library's, that of its module and version."""
    if not is_followed(symbol.module):
        return _describe_library(symbol.module)
    module = load_source(symbol.module)
    statements = module.body if not symbol.name else module.statements(symbol.name)
    if symbol.name == _EFFECTS:
        statements = module.effects
    return hashlib.sha256("\n".join(map(normalise, statements)).encode()).hexdigest()


def _describe_library(module: str) -> str:
    path = source_file(module)
    # The standard library, or a single file on the path, has no version, so its text counts.
    content = hashlib.sha256(path.read_bytes() if path else b"").hexdigest()
    names = packages_distributions().get(module.partition(".")[0], [])
    return ",".join([*(f"{name}={version(name)}" for name in sorted(set(names))), content])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
