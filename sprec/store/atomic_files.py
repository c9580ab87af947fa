"""Files that are either whole or absent, even if the process is killed while writing them."""

import os
import threading
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace the contents of `path` by `text` in UTF-8, creating its folder if needed.

    Readers see the old file or the new one, never a mixture. Raises `OSError` if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two threads of one process must not share a partial file either.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        write_synced(partial, text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_path(path.parent)  # without this the rename itself can be lost in a power failure


def write_synced(path: Path, text: str) -> None:
    """Write `text` in UTF-8 to `path` and wait until it is on disk."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Wait until this file, or this folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until `folder` and everything below it is on disk."""
    for parent, _, names in os.walk(folder, topdown=False):
        for file in (Path(parent, name) for name in names):
            if not file.is_symlink():  # its target is elsewhere, or nowhere
                sync_path(file)
        sync_path(Path(parent))
