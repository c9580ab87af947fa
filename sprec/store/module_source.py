"""Python modules as syntax trees: what they define, import and do when they are imported."""

import ast
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sprec.store.running_code import running_text

HOME = __name__.partition(".")[0]
# Resolved, as packages' folders are: in a virtual environment lib64 is a link to lib.
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))


class Symbol(NamedTuple):
    """A definition by module and name: `function`, `Class`, `Class.method`, or "" for the whole module."""

    module: str
    name: str


@dataclass(frozen=True)
class ModuleSource:
    """A parsed module; nothing of it is executed."""

    name: str
    path: Path

    @cached_property
    def body(self) -> list[ast.stmt]:
        """The module's statements."""
        # Bytes, so that the parser itself obeys a line that names the file's encoding.
        return ast.parse(running_text(self.name, self.path)).body

    @cached_property
    def imports(self) -> dict[str, Symbol]:
        """What names stand for that are imported from code that is followed, wherever they are imported."""
        return dict(pair for statement in _statements_below(self.body) for pair in self._imported(statement))

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """The statements that define each name at the top level; a name may be defined twice."""
        by_name: dict[str, list[ast.stmt]] = {}
        for statement in self.body:
            for name in _defined_names(statement):
                by_name.setdefault(name, []).append(statement)
        return by_name

    @cached_property
    def effects(self) -> list[ast.stmt]:
        """Statements that act on import: calls, conditions, and what our own decorators register."""
        return [statement for statement in self.body if self._acts(statement)]

    def methods(self, name: str) -> dict[str, list[ast.stmt]]:
        """Return the methods of a class by name; a property and its setter share one."""
        methods: dict[str, list[ast.stmt]] = {}
        classes = (node for node in self.definitions.get(name, []) if isinstance(node, ast.ClassDef))
        for node in (inner for owner in classes for inner in owner.body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                methods.setdefault(node.name, []).append(node)
        return methods

    def statements(self, name: str) -> list[ast.stmt]:
        """Return the statements that define a name; none for an imported one, which is followed elsewhere."""
        first, _, method = name.partition(".")
        if first in self.definitions:
            return self.methods(first).get(method, []) if method else self.definitions[first]
        # A name from nowhere visible (a star import, a module's __getattr__) may be anything.
        return [] if first in self.imports else self.body

    def _acts(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            # A decorator of ours may register what it decorates, and a lookup by text cannot be followed.
            names = [name for decorator in statement.decorator_list for name in _names(decorator)]
            return any(name in self.definitions or name in self.imports for name in names)
        if (
            isinstance(statement, ast.Import | ast.ImportFrom)
            or is_text(statement)
            or _is_for_types(statement)
        ):
            return False
        return not _defined_names(statement)

    def _imported(self, node: ast.AST) -> Iterator[tuple[str, Symbol]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if is_followed(alias.name):
                    yield alias.asname or alias.name.partition(".")[0], Symbol(alias.name, "")
        elif isinstance(node, ast.ImportFrom) and is_followed(package := self._absolute(node)):
            for alias in node.names:
                # The statement does not say whether it names a module or a definition; the files do.
                submodule = f"{package}.{alias.name}"
                symbol = Symbol(submodule, "") if source_file(submodule) else Symbol(package, alias.name)
                yield alias.asname or alias.name, symbol

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the module that `from … import` names, its dots resolved."""
        if not node.level:
            return node.module or ""
        # One dot means the package itself in its __init__.py, and the package around it in any other module.
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        parents = package[: len(package) - node.level + 1]
        return ".".join([*parents, *([node.module] if node.module else [])])


@cache
def load_source(module: str) -> ModuleSource:
    """Return a module's source, parsed once in a process; `ValueError` if it has none."""
    path = source_file(module)
    if path is None:
        raise ValueError(f"{module} has no Python source, so its code cannot be part of a stage's key")
    return ModuleSource(module, path)


def followed_files() -> dict[str, Path]:
    """Return by module this package's files, and those of all that is imported and followed."""
    home = _package_folder(HOME)
    assert home is not None, "this package has a folder"
    files = {path: path.relative_to(home.parent).with_suffix("").parts for path in home.rglob("*.py")}
    own = {".".join(names).removesuffix(".__init__"): path for path, names in files.items()}
    imported = list(sys.modules)
    tops = {name for name in imported if "." not in name and name != HOME and is_followed(name)}
    others = {name: source_file(name) for name in imported if name.partition(".")[0] in tops}
    return own | {name: path for name, path in others.items() if path}


@cache
def is_followed(module: str) -> bool:
    """Return whether a module's code is followed: this package's, and any that is no installed library."""
    top, _, _ = module.partition(".")
    path = _package_folder(top)
    return top == HOME or (path is not None and not _is_library(top, path))


def _is_library(top: str, path: Path) -> bool:
    """Return whether a package was installed: where libraries are, or elsewhere by `pip install --target`."""
    if any(map(path.is_relative_to, _LIBRARIES)):
        return True
    # An editable package is recorded among the libraries and lies elsewhere: its code is followed.
    names = _distributions().get(top, ())
    return any(Path(str(distribution(name).locate_file(""))).resolve() == path.parent for name in names)


_distributions = cache(packages_distributions)


@cache
def source_file(module: str) -> Path | None:
    """Return the Python file of a module, or None if it has none; no package is imported to look for it."""
    top, *names = module.split(".")
    if (folder := _package_folder(top)) is None:
        return None
    base = folder.joinpath(*names) if names else folder
    files = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in files if path.is_file()), None)


@cache
def _package_folder(top: str) -> Path | None:
    """Return the folder of a top-level package; of a single module its path without the suffix."""
    if top == HOME:
        return Path(__file__).resolve().parent.parent
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # `__main__` has none
        spec = None
    if spec and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    file = spec.origin if spec else getattr(sys.modules.get(top), "__file__", None)
    return Path(file).resolve().with_suffix("") if file and file.endswith(".py") else None


class Use(NamedTuple):
    """A name that code uses, with its first attribute; `of_instance` if the name is a parameter's class."""

    name: str
    attribute: str = ""
    of_instance: bool = False


def uses(node: ast.AST, classes: Mapping[str, str] = MappingProxyType({})) -> Iterator[Use]:
    """Yield what a syntax tree uses; `classes` are those of the parameters around it.

    `metrics.ndcg` is `Use("metrics", "ndcg")`; of a parameter `model: LanguageModel`, `model.save` is
    `Use("LanguageModel", "save", True)`. A parameter that is only passed on is not used here: whoever
    takes it says by an annotation what it is.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _uses_of_function(node, classes)
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        name = node.value.id
        yield Use(classes[name], node.attr, True) if name in classes else Use(name, node.attr)
        return
    if isinstance(node, ast.Name):
        yield Use(classes.get(node.id, node.id))
    elif isinstance(node, ast.ImportFrom | ast.Import):  # inside a function, to be loaded late
        yield from (Use(alias.asname or alias.name) for alias in node.names)
    passed_on = [*node.args, *(word.value for word in node.keywords)] if isinstance(node, ast.Call) else []
    for child in ast.iter_child_nodes(node):
        value = child.value if isinstance(child, ast.keyword) else child
        if not (value in passed_on and isinstance(value, ast.Name) and value.id in classes):
            yield from uses(child, classes)


def _uses_of_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, classes: Mapping[str, str]
) -> Iterator[Use]:
    parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotations = {parameter.arg: _unquoted(parameter.annotation) for parameter in parameters}
    # Only a plain class tells which method `parameter.method` is; of a union or a list all of it counts.
    own = {name: known.id for name, known in annotations.items() if isinstance(known, ast.Name)}
    # Without an annotation, too, a parameter hides one of its name further out.
    inner = {name: known for name, known in classes.items() if name not in annotations} | own
    outside = [value for value in annotations.values() if not isinstance(value, ast.Name)]
    variadic = [_unquoted(arg.annotation) for arg in (node.args.vararg, node.args.kwarg) if arg]
    defaults = [*node.args.defaults, *node.args.kw_defaults]
    # Python evaluates these where the function is defined, so its own parameters are not known in them.
    for value in [*outside, *variadic, *defaults, *node.decorator_list, _unquoted(node.returns)]:
        if value is not None:
            yield from uses(value, classes)
    for statement in node.body:
        yield from uses(statement, inner)


def _unquoted(annotation: ast.expr | None) -> ast.expr | None:
    """Return an annotation as an expression if the whole of it is quoted, and any other as it is."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        with suppress(SyntaxError):
            return ast.parse(annotation.value, mode="eval").body
    return annotation


def normalise(node: object) -> str:
    """Return a syntax tree as text without positions, docstrings and empty fields.

    Empty fields are left out since newer versions of Python add some.
    """
    if isinstance(node, list):
        return f"[{','.join(normalise(inner) for inner in node if not is_text(inner))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    values = [
        f"{name}={normalise(value)}"
        for name, value in ast.iter_fields(node)
        # ctx follows from the place, kind is the u of u"…", and a type comment is a comment.
        if name not in ("ctx", "kind", "type_comment") and value not in (None, [])
    ]
    return f"{type(node).__name__}({','.join(values)})"


def is_text(statement: object) -> bool:
    """Return whether a statement is a docstring, be it of a module, function, class or constant."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_for_types(statement: ast.stmt) -> bool:
    """Return whether a statement is for type checkers alone, so that importing the module does none of it."""
    # What it imports is followed all the same: annotations say whose methods are called.
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _statements_below(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those inside them; expressions, which are most of a tree, are not walked."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements_below(getattr(statement, name, []))


def _names(node: ast.AST) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _defined_names(statement: ast.stmt) -> list[str]:
    """Return the names that a function, class or plain assignment defines; `a.b = c` is an action."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    plain = all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
    return [name for target in targets for name in _names(target)] if plain else []
