"""Signals that end a run: one exception for Ctrl-C and SIGTERM, and one way to end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class EndedError(BaseException):
    """The process was told to end; no library takes it for an error of its own, nor for a clean end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"

    @property
    def status(self) -> int:
        """The exit status that shells give to what a signal ended.

        >>> EndedError(signal.SIGTERM).status
        143
        """
        return 128 + self.number


@contextmanager
def heeding() -> Iterator[None]:
    """Raise `EndedError` at Ctrl-C and SIGTERM; what the process ignores stays ignored.

    Lightning would end a fit by `SystemExit` of status 1 at the first, and of status 0 at the second.
    """
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in heeded:
            signal.signal(number, _end)
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _end(number: int, _: FrameType | None) -> None:
    raise EndedError(number)
