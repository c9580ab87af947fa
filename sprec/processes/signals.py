"""Ctrl-C and SIGTERM end a run in one way: by an exception that no library swallows."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class EndedBySignalError(BaseException):
    """The process was asked to end.

    A `BaseException`, so that no library handles it as an error of its own or takes it for a clean end.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"

    @property
    def status(self) -> int:
        """The exit status that shells report for a process ended by this signal.

        >>> EndedBySignalError(signal.SIGTERM).status
        143
        """
        return 128 + self.number


@contextmanager
def raise_on_signal() -> Iterator[None]:
    """Raise `EndedBySignalError` at Ctrl-C and SIGTERM, unless the process ignores that signal.

    Without it Lightning ends a fit by `SystemExit`, with status 1 at the first signal and 0 at the second.
    """
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread
        yield
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    handled = [number for number, handler in previous.items() if handler is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, _raise_error)
        yield
    finally:
        for number in handled:
            signal.signal(number, previous[number])


def _raise_error(number: int, _: FrameType | None) -> None:
    raise EndedBySignalError(number)
