"""The text of the code that this process runs, which an editor or git may change on disk while it goes on."""

import sys
from collections.abc import Mapping
from pathlib import Path

_remembered: dict[str, tuple[Path, bytes]] = {}  # by module
_imported: set[str] = set()  # those that were imported while their file was as remembered


def remember(modules: Mapping[str, Path]) -> None:
    """Take the files of these modules as what this process runs, each when it is first named.

    Raises `ValueError` for one that was edited between that time and its import.
    """
    for module, path in modules.items():
        running_text(module, path)
        if module in sys.modules:
            refuse_edited(module)


def running_text(module: str, path: Path) -> bytes:
    """Return the text of a module as this process runs it, as bytes: they name their encoding themselves."""
    if module not in _remembered:
        _remembered[module] = path, path.read_bytes()
        if module in sys.modules:
            _imported.add(module)
    return _remembered[module][1]


def refuse_edited(module: str) -> None:
    """Raise `ValueError` if a module that was not imported at first has another text by now.

    Nobody can say then which of the two this process runs, or will.
    """
    if module in _imported or module not in _remembered:
        return
    path, text = _remembered[module]
    if not path.is_file() or path.read_bytes() != text:
        raise ValueError(
            f"{path} was edited after this run had begun, so it would mix old code and new; start it again: "
            "finished stages are stored"
        )
    if module in sys.modules:
        _imported.add(module)
