"""The lease: a lock for file systems without `flock`, kept alive by touching a file."""

import os
import re
import signal
import subprocess
import sys

import pytest

from sprec.store.store import Stage, Store

SFT = Stage("sft", {"rows": 8}, {"data": "d1"})

# Speaks one line per event, and computes when it is told to.
PROCESS = """
import logging, sys
from pathlib import Path
from sprec.store.store import Stage, Store

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")

def work(folder):
    print("computing", flush=True)
    sys.stdin.readline()
    (folder / "whole").write_text("whole")

try:
    store = Store(Path(sys.argv[1]), "lease", lease_seconds=float(sys.argv[2]))
    result = store.run(Stage("sft", {"rows": 8}, {"data": "d1"}), work)
    print("reused" if result.reused else "computed", flush=True)
except RuntimeError as error:
    print(error, flush=True)
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def start(lease_seconds):
        command = [sys.executable, "-c", PROCESS, str(tmp_path), str(lease_seconds)]
        started.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def says(process):
    return process.stdout.readline().strip()


def go(process):
    process.stdin.write("go\n")


def raced(start, lease_seconds):
    """Return a process that computes and one that waits for it."""
    holder = start(lease_seconds)
    assert says(holder) == "computing"
    waiter = start(lease_seconds)
    assert says(waiter).startswith(f"waiting for sft {SFT.key} computed by {holder.pid}/")
    return holder, waiter


def killed(process):
    process.kill()
    process.wait()


def marker(root):
    return next((root / ".locks").glob("*.lease"))


def test_racing_processes_compute_once(start, tmp_path):
    holder, waiter = raced(start, 1)
    go(holder)
    assert (says(holder), says(waiter)) == ("computed", "reused")
    assert list((tmp_path / ".locks").iterdir()) == []


def test_a_killed_holder_on_this_host_is_succeeded_at_once_however_long_the_lease(start):
    holder, waiter = raced(start, 100_000)
    killed(holder)
    assert says(waiter) == "computing"
    go(waiter)
    assert says(waiter) == "computed"


def test_a_killed_holder_on_another_host_is_succeeded_when_its_lease_has_run_out(start, tmp_path):
    holder = start(1)
    assert says(holder) == "computing"
    os.kill(holder.pid, signal.SIGSTOP)  # else it would notice the changed file
    text = marker(tmp_path).read_text()
    elsewhere = re.sub(r"^host=.*$", "host=elsewhere", text, flags=re.MULTILINE)
    assert elsewhere != text
    marker(tmp_path).write_text(elsewhere)
    killed(holder)
    heir = start(1)
    assert says(heir).startswith("waiting for")
    assert says(heir) == "computing"


@pytest.mark.parametrize(("finished", "message"), [(True, "reused"), (False, "suspended for over 1 s")])
def test_a_suspended_holder_takes_its_successors_result_or_says_what_happened(start, finished, message):
    holder, heir = raced(start, 1)
    os.kill(holder.pid, signal.SIGSTOP)
    assert says(heir) == "computing"
    if finished:
        go(heir)
        assert says(heir) == "computed"
    os.kill(holder.pid, signal.SIGCONT)
    go(holder)
    assert message in says(holder)


def test_leases_share_a_store_with_what_flock_left(tmp_path):
    def work(folder):
        (folder / "whole").write_text("whole")

    Store(tmp_path).run(SFT, work)
    assert Store(tmp_path, "lease").run(SFT, work).reused
