"""Ctrl-C and SIGTERM at random times: the run ends within seconds, says so, and leaves no process."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOY = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.threads=1", "trainer.device=cpu"]
TOY += ["budget.sft_rows=256", "budget.iteration_rows=64", "budget.test_rows=20", "budget.iterations=2"]
SWEEP = ["seed=0,1,2,3", "hydra/launcher=cores", "-m"]
SEED, SECONDS = 20251128, 5
RUN = "from sprec import run; run.main()"


def descendants(pid):
    """Return the processes below one, itself included, as descriptors that outlive their numbers."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        try:
            found.append(os.pidfd_open(one))
            children = Path(f"/proc/{one}/task").glob("*/children")
            todo += [int(child) for path in children for child in path.read_text().split()]
        except (ProcessLookupError, FileNotFoundError):
            continue
    return found


def has_ended(descriptor, seconds):
    return bool(select.select([descriptor], [], [], seconds)[0])


def interrupt(folder, words, number, delay):
    """Send the signal after a delay; return exit status, seconds until the end, and processes left."""
    environment = {**os.environ, "SPREC_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-c",
        RUN,
        f"hydra.run.dir={folder}/out",
        f"hydra.sweep.dir={folder}/out",
        *words,
    ]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, cwd=folder, **pipes, preexec_fn=default_signals)
    time.sleep(delay)
    family = descendants(process.pid)
    start = time.monotonic()
    process.send_signal(number)
    status = process.wait(60)
    seconds = time.monotonic() - start
    left = sum(not has_ended(descriptor, SECONDS) for descriptor in family)
    return (128 - status if status < 0 else status), seconds, left


def default_signals():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def cases(count, words):
    randomness = random.Random(SEED)
    return [
        (words, randomness.choice([signal.SIGINT, signal.SIGTERM]), randomness.uniform(0.5, 20))
        for _ in range(count)
    ]


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
@pytest.mark.parametrize("words", [TOY, [*TOY, *SWEEP]], ids=["run", "cores"])
def test_thirty_interrupts_at_random_times(tmp_path, words):
    if "-m" in words:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    ends = []
    for place, (case, number, delay) in enumerate(cases(30, words)):
        folder = tmp_path / str(place)
        folder.mkdir()
        ends.append((number.name, round(delay, 1), *interrupt(folder, case, number, delay)))
    late = [end for end in ends if end[2] not in (0, 130, 143) or end[3] > SECONDS or end[4]]
    assert late == []
    assert sum(end[2] in (130, 143) for end in ends) >= 15
