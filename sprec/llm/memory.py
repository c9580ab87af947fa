"""Memory that a pass lets go is kept for the next one, and little is held between them."""

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's options (malloc.h)."""
LARGEST = 32 * 2**20
"""Bytes above which glibc maps each tensor by itself; it takes no higher value."""
NEVER = -1
SHAPES = 32
"""Matrix products that oneDNN holds code for, by shape; of 16, each layer of a pass makes some again."""
CAPACITIES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""Variables that bound how many oneDNN holds, and how many PyTorch's layer over it; 1,024 where unset."""


def keep() -> None:
    """Let the C library keep freed memory instead of handing it back to the kernel; peaks stay what they are.

    A training step on the CPU is then faster: no page is zeroed again. It holds for the whole process, and
    does nothing where the C library is not glibc.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(MMAP_THRESHOLD, LARGEST)
        option(TRIM_THRESHOLD, NEVER)


def bound() -> None:
    """Let oneDNN hold code for the last `SHAPES` products, where the user sets no other number.

    A sequence of a new length costs 20 MB otherwise, in pieces that lie between what passes let go: SFT of
    SmolLM2-135M in bfloat16 grew from 3.40 to 4.34 GB on 24 to 96 rows a step; bounded, from 3.14 to 3.38
    (`make bench`). The libraries read the variables at their first product, and processes inherit them.
    """
    for name in CAPACITIES:
        os.environ.setdefault(name, str(SHAPES))
