"""Progress of long steps, with the time left: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track as bar

Item = TypeVar("Item")
log = logging.getLogger(__name__)


def track(items: Iterable[Item], label: str, total: int, *, every_seconds: float = 15.0) -> Iterator[Item]:
    """Yield the items, showing how many of `total` are done and the time left.

    Where standard error is no terminal, one line is logged about every `every_seconds`.
    """
    if sys.stderr.isatty():
        yield from bar(items, label, total, console=Console(stderr=True))
    else:
        yield from _logged(items, label, total, every_seconds)


def _logged(items: Iterable[Item], label: str, total: int, every_seconds: float) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items):
        current = time.monotonic()
        if current - last >= every_seconds and done:
            left = (current - start) / done * (total - done)
            log.info("%s: %d of %d, about %.0f s left", label, done, total, left)
            last = current
        yield item
