"""What goes wrong at the edge of the store: a full disk, missing permissions, a broken device."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DISK = _FULL | {errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM}
# Libraries in Rust (safetensors, polars) wrap the system's error in a type of their own.
_WRAPPED = re.compile(r"os error (?P<number>\d+)|(?P<full>no space left on device)", re.I)


class StoreError(RuntimeError):
    """The store cannot be used; the message is one line that names the folder and the remedy."""


@contextmanager
def explain_store_errors(root: Path, act: str) -> Iterator[None]:
    """Raise a `StoreError` in place of an error of the store's disk; `act` says what failed ("written").

    Errors that have nothing to do with the store pass: those of a computation, raw data or a network.
    """
    try:
        yield
    except Exception as error:
        # A stage may run another one, whose store has explained the error already.
        number = None if isinstance(error, StoreError) else _disk_error(error, root)
        if number is None:
            raise
        reason = os.strerror(number) if number else str(error)
        free = f"{_free_bytes(root) / 1e9:.1f} GB free"
        raise StoreError(
            f"the stage store {root} cannot be {act} ({reason}; {free}); {_remedy(number)}"
        ) from error


def _disk_error(error: Exception, root: Path) -> int | None:
    """Return the number of the system's error if the store's disk failed, else None."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        # A failed open names its file, a failed write or fsync does not: then only a disk's own errors count.
        if error.filename is not None:
            return error.errno if _is_below(error.filename, root) else None
        return error.errno if error.errno in _DISK else None
    if match := _WRAPPED.search(text):
        number = errno.ENOSPC if match["full"] else int(match["number"])
        return number if number in _DISK else None
    return None


def _is_below(name: object, root: Path) -> bool:
    return isinstance(name, str | os.PathLike) and Path(name).absolute().is_relative_to(root.absolute())


def _remedy(number: int) -> str:
    if number in _FULL:
        return "make room (python -m sprec.store lists and prunes stages), or set SPREC_HOME or store.path"
    return "set SPREC_HOME or store.path to a folder that can"


def _free_bytes(root: Path) -> int:
    """Return the free bytes of the disk that holds the root, or would hold it."""
    for folder in (root, *root.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0
