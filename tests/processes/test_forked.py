"""Work in a process of its own: its answer, its error, its end, and that it ends with who waits for it."""

import os
import select
import signal
import subprocess
import sys

import pytest

from sprec.processes.forked import ForkKilledError, run_in_fork
from sprec.processes.signals import raise_on_signal

WAITING = """
import os, signal
from sprec.processes.forked import run_in_fork

def work():
    print(os.getpid(), flush=True)
    signal.pause()

run_in_fork(work)
"""


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def refuse():
    raise ValueError("no such dataset")


def test_the_answer_comes_from_another_process():
    assert run_in_fork(os.getpid) not in (None, os.getpid())


def test_an_error_comes_through():
    with pytest.raises(ValueError, match=r"^no such dataset$"):
        run_in_fork(refuse)


def test_a_killed_process_is_an_error_that_names_its_signal():
    with pytest.raises(ForkKilledError, match=r"^its process was ended by SIGKILL"):
        run_in_fork(killed)


def end_by_sigterm():
    with raise_on_signal():
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_process_told_to_end_is_an_error_of_that_process_alone():
    with pytest.raises(ForkKilledError, match=r"^its process was ended by SIGTERM$"):
        run_in_fork(end_by_sigterm)


def default_interrupt_handler():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_the_process_ends_with_the_one_that_waits_for_it(ending):
    command = [sys.executable, "-c", WAITING]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, preexec_fn=default_interrupt_handler) as waiting:
        inner = os.pidfd_open(int(waiting.stdout.readline()))
        waiting.send_signal(ending)
        assert select.select([inner], [], [], 60)[0] == [inner]  # readable once the process has ended
        os.close(inner)
