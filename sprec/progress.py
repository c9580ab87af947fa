"""Progress of long steps, with the time left: a bar in a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")
LOG_INTERVAL_SECONDS = 15.0
log = logging.getLogger(__name__)


def track(
    items: Iterable[T], label: str, total: int | None, *, interval_seconds: float = LOG_INTERVAL_SECONDS
) -> Iterator[T]:
    """Yield the items and show how many of `total` are done, and the time left (None: the total is unknown).

    If standard error is no terminal, log a line about every `interval_seconds`. A single item shows nothing.
    """
    if total is not None and total < 2:
        yield from items
        return
    with show_progress(label, total, interval_seconds=interval_seconds) as advance_to:
        done = 0
        for item in items:
            advance_to(done)
            yield item
            done += 1
        advance_to(done)


def stderr_is_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr.isatty()


def format_seconds(seconds: float) -> str:
    """Return a time in the unit that suits its size.

    >>> format_seconds(4.04), format_seconds(300), format_seconds(7200)
    ('4.0 s', '5.0 min', '2.0 h')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def show_progress(
    label: str, total: int | None, *, interval_seconds: float = LOG_INTERVAL_SECONDS
) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number done so far; it shows progress as `track` does."""
    if not stderr_is_terminal():
        yield _ProgressLines(label, total, interval_seconds)
        return
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task(label, total=total)
        yield lambda done: bars.update(bar, completed=done)


class _ProgressLines:
    """Logs a line if the last one is old enough, but none for a step that has just begun or has ended."""

    def __init__(self, label: str, total: int | None, interval_seconds: float) -> None:
        self.label, self.total, self.interval_seconds = label, total, interval_seconds
        self.start = self.last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self.last < self.interval_seconds or not done or done == self.total:
            return
        self.last = now
        if self.total is None:
            log.info("%s: %d so far", self.label, done)
        else:
            left = (now - self.start) / done * (self.total - done)
            log.info("%s: %d of %d, about %.0f s left", self.label, done, self.total, left)
