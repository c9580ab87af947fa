"""Memory that a pass lets go is kept for the next one."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's options (malloc.h)."""
LARGEST = 32 * 2**20
"""Bytes above which glibc maps each tensor by itself; it takes no higher value."""
NEVER = -1


def keep() -> None:
    """Let the C library keep freed memory instead of handing it back to the kernel; peaks stay what they are.

    A training step on the CPU is then faster: no page is zeroed again. It holds for the whole process, and
    does nothing where the C library is not glibc.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(MMAP_THRESHOLD, LARGEST)
        option(TRIM_THRESHOLD, NEVER)
