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
LONGEST_LINE = 500
log = logging.getLogger(__name__)

CONSOLE = Console(stderr=True)
"""Shows bars and log lines: two consoles on one terminal would tear each other's lines."""
DETAIL, HEADLINE = {"detail": True}, {"headline": True}
"""`extra` of log lines for the job's file alone, and of those that a sweep shows too."""
_live: list[Progress] = []


class ConsoleHandler(logging.Handler):
    """Prints log lines above the bars, one line each; in a sweep only headlines, warnings and progress."""

    in_sweep = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line unless it is for the file alone."""
        important = (
            record.levelno >= logging.WARNING or record.name == __name__ or hasattr(record, "headline")
        )
        if hasattr(record, "detail") or (self.in_sweep and not important):
            return
        CONSOLE.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


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
    with _bars() as bars:
        bar = bars.add_task(label, total=total)
        bars.refresh()  # a short step ends before the next frame
        try:
            yield lambda done: bars.update(bar, completed=done)
            bars.refresh()
        finally:
            bars.remove_task(bar)


@contextmanager
def _bars() -> Iterator[Progress]:
    """Yield the bars that are shown now, or new ones: a console takes one set of bars at a time."""
    if _live:
        yield _live[0]
        return
    with Progress(console=CONSOLE, transient=True) as bars:
        _live.append(bars)
        try:
            yield bars
        finally:
            _live.clear()


def table_console() -> Console:
    """Return the console for tables; into a file or pipe their lines are as long as they are."""
    return Console() if sys.stdout.isatty() else Console(width=LONGEST_LINE)


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
