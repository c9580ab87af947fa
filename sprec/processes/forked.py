"""Work in a forked process: whatever kills that process is an ordinary error here."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar, cast

from sprec.processes.signals import EndedBySignalError
from sprec.processes.torchrun import end_with_parent

T = TypeVar("T")
FORK = multiprocessing.get_context("fork")  # the child has all that is imported and set up here


class ForkKilledError(RuntimeError):
    """A forked process that was killed from outside; the message is one line."""


def run_in_fork(work: Callable[[], T]) -> T:
    """Return what `work` returns in a forked process, or raise what it raises.

    Raises `ForkKilledError` if that process is killed. It never outlives this one. Fork before any library
    starts threads: the child does not get them, and the locks that they hold stay locked.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_send_result, args=(work, sender))
    process.start()
    sender.close()  # or `recv` would wait for ever for a child that died
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise ForkKilledError(f"its process was ended by {_describe_exit(process.exitcode)}") from None
    except BaseException:  # Ctrl-C and SIGTERM reach the parent alone under some launchers
        process.terminate()
        raise
    finally:
        process.join()
    if isinstance(error, EndedBySignalError):  # the signal was for the child, so this process goes on
        raise ForkKilledError(f"its process was {error}")
    if error is not None:
        raise error
    return cast(T, result)


def _send_result(work: Callable[[], object], sender: Connection) -> None:
    if prepare := end_with_parent():
        prepare()
    try:
        sender.send((work(), None))
    except BaseException as error:
        sender.send((None, error))


def _describe_exit(code: int | None) -> str:
    """Return what ended a process.

    >>> _describe_exit(-9), _describe_exit(3)
    ('SIGKILL (out of memory?)', 'exit status 3')
    """
    if code is None or code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
