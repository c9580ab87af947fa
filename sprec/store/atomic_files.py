"""Files that are either whole or absent, whatever kills the process."""

import os
import threading
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8: a reader sees the old file or the new one, never a part.

    The folder is made where it is missing. Raises `OSError` where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        write_through(partial, text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def write_through(path: Path, text: str) -> None:
    """Write `text` in UTF-8 to `path` and wait until the disk has it."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until the disk has this file, or this folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until the disk has every file and folder below `folder`, and `folder` itself."""
    for parent, _, names in os.walk(folder, topdown=False):
        for file in (Path(parent, name) for name in names):
            if not file.is_symlink():
                sync(file)
        sync(Path(parent))
