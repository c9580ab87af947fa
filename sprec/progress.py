"""Progress of long steps, with the time left: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
EVERY_SECONDS = 15.0
log = logging.getLogger(__name__)


def track(
    items: Iterable[Item], label: str, total: int | None, *, every_seconds: float = EVERY_SECONDS
) -> Iterator[Item]:
    """Yield the items, showing how many of `total` are done and the time left (None: nobody knows how many).

    Where standard error is no terminal, one line is logged about every `every_seconds`. What is done at once
    shows nothing.
    """
    if total is not None and total < 2:
        yield from items
        return
    with counted(label, total, every_seconds=every_seconds) as so_far:
        done = 0
        for item in items:
            so_far(done)
            yield item
            done += 1
        so_far(done)


def in_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr.isatty()


@contextmanager
def counted(
    label: str, total: int | None, *, every_seconds: float = EVERY_SECONDS
) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many of `total` are done so far, and shows it as `track` does."""
    if not in_terminal():
        yield _Lines(label, total, every_seconds)
        return
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task(label, total=total)
        yield lambda done: bars.update(bar, completed=done)


class _Lines:
    """Logs a line when the last one is some time ago; none for a step that begins or has ended."""

    def __init__(self, label: str, total: int | None, every_seconds: float) -> None:
        self.label, self.total, self.every_seconds = label, total, every_seconds
        self.start = self.last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self.last < self.every_seconds or not done or done == self.total:
            return
        self.last = now
        if self.total is None:
            log.info("%s: %d so far", self.label, done)
        else:
            left = (now - self.start) / done * (self.total - done)
            log.info("%s: %d of %d, about %.0f s left", self.label, done, self.total, left)
