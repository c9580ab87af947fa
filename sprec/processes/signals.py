"""Ctrl-C and SIGTERM end a run in one way: by an exception that no library swallows."""

import logging
import os
import select
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS, CHECK_SECONDS = 4.0, 0.25
_watchdogs: list["_Watchdog"] = []
_watched_parents: list[int] = []


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
    An error that something swallows is raised again. A block that has not ended `GRACE_SECONDS` after a
    signal is ended with the process.
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
        while _watchdogs:
            _watchdogs.pop().cancel()


def _raise_error(number: int, _: FrameType | None) -> None:
    error = EndedBySignalError(number)
    watchdog = _Watchdog(error)
    watchdog.start()
    _watchdogs.append(watchdog)
    try:
        raise error
    finally:
        del error  # else its traceback would hold this frame, and this frame the error


class _Watchdog(threading.Thread):
    """Ends a process whose cleaning up hangs, and raises an error again that something has swallowed.

    Python's compiler swallows all but KeyboardInterrupt while it folds constants, so that a module's first
    import may do it; `__del__` and callbacks of C code do, too.
    """

    def __init__(self, error: EndedBySignalError) -> None:
        super().__init__(daemon=True)
        self._error, self._status, self._number = weakref.ref(error), error.status, error.number
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Leave the process alone from now on."""
        self._cancelled.set()

    def run(self) -> None:
        """Wait for the end of the block."""
        for _ in range(round(GRACE_SECONDS / CHECK_SECONDS)):
            if self._cancelled.wait(CHECK_SECONDS):
                return
            if self._error() is None:  # nobody holds it, and the block goes on
                signal.pthread_kill(threading.main_thread().ident or 0, self._number)
                return
        exit_now(self._status)


def exit_now(status: int) -> NoReturn:
    """End the process without what runs at exit: threads of libraries could keep it from ending."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def end_after_parent() -> None:
    """End this process when its parent has ended, whatever ended that; only Linux can tell."""
    if not hasattr(os, "pidfd_open") or _watched_parents:
        return
    _watched_parents.append(os.pidfd_open(os.getppid()))
    threading.Thread(target=_wait_for_parent, args=_watched_parents, daemon=True).start()


def _wait_for_parent(descriptor: int) -> None:
    select.select([descriptor], [], [])  # readable once the process has ended
    os.kill(os.getpid(), signal.SIGTERM)
