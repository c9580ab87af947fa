"""Work in a process of its own: what kills that process is an error here and nothing more."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar, cast

from sprec.processes.signals import EndedError
from sprec.processes.torchrun import dying_with_parent

Answer = TypeVar("Answer")
FORK = multiprocessing.get_context("fork")  # what was set up so far comes along


class KilledError(RuntimeError):
    """A process that was ended from outside; the message is one line."""


def apart(work: Callable[[], Answer]) -> Answer:
    """Return what `work` returns in a process forked for it, or raise what it raises.

    Raises `KilledError` where that process is killed. It ends with this one. Fork before any library has
    started threads: they do not come along, and what they hold stays locked.
    """
    receiving, sending = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_answer, args=(work, sending))
    process.start()
    sending.close()
    try:
        answer, error = receiving.recv()
    except EOFError:
        process.join()
        raise KilledError(f"its process was ended by {_ending(process.exitcode)}") from None
    except BaseException:  # an interrupt
        process.terminate()
        raise
    finally:
        process.join()
    if isinstance(error, EndedError):  # that process was told to end, not this one
        raise KilledError(f"its process was {error}")
    if error is not None:
        raise error
    return cast(Answer, answer)


def _answer(work: Callable[[], object], sending: Connection) -> None:
    if die := dying_with_parent():
        die()
    try:
        sending.send((work(), None))
    except BaseException as error:
        sending.send((None, error))


def _ending(code: int | None) -> str:
    """Return what ended a process.

    >>> _ending(-9), _ending(3)
    ('SIGKILL (out of memory?)', 'exit status 3')
    """
    if code is None or code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
