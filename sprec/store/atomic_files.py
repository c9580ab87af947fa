"""Files that are either whole or absent, even if the process is killed while writing them."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, what is there replaces `path` in one step.

    Creates the folder of `path` if needed. If the block raises, the old file stays and nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two threads of one process must not share a partial file either.
    # `Store` knows by this form of name what a kill left of a checkpoint.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        yield partial
        # Before the rename, else a power failure can leave the new name with an empty file.
        sync_path(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_path(path.parent)  # without this the rename itself can be lost in a power failure


def write_atomically(path: Path, text: str) -> None:
    """Replace the contents of `path` by `text` in UTF-8, creating its folder if needed.

    Readers see the old file or the new one, never a mixture. Raises `OSError` if it cannot be written.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def sync_path(path: Path) -> None:
    """Wait until this file, or this folder's list of names, is on disk."""
    # Reading is enough for fsync, and a folder cannot be opened otherwise.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until `folder` and everything below it is on disk."""
    # Bottom up: a list of names goes to disk after what it names.
    for parent, _, names in os.walk(folder, topdown=False):
        for file in (Path(parent, name) for name in names):
            if not file.is_symlink():  # its target is elsewhere, or nowhere
                sync_path(file)
        sync_path(Path(parent))
