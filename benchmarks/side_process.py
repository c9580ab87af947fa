"""Processes that hold one side each and take a step on request, so that each side's memory is its own."""

import gc
import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import torch

from benchmarks.measure import Sample, Step, Task


class SideProcess:
    """One side in a process of its own; it uses no processor time while it waits."""

    def __init__(self, task: Task, *, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, remote = context.Pipe()
        self._process = context.Process(target=_serve, args=(task, threads, remote), daemon=True)
        self._process.start()
        remote.close()  # so that the end of the process ends the pipe
        self._receive()

    def step(self) -> Sample:
        """Return one timed step; raises `RuntimeError` with the side's own message where it fails."""
        self._pipe.send(True)
        return self._receive()

    def __enter__(self) -> "SideProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            self._pipe.send(False)
        self._process.join(10)
        self._process.kill()

    def _receive(self) -> Sample:
        try:
            message = self._pipe.recv()
        except EOFError:
            raise RuntimeError(
                "the side's process ended unexpectedly; it may have run out of memory"
            ) from None
        if isinstance(message, str):
            raise RuntimeError(message)
        sample: Sample = message
        return sample


def _serve(task: Task, threads: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    try:
        step = task()
        pipe.send(None)
        while pipe.recv():
            pipe.send(_time_step(step))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise


def _time_step(step: Step) -> Sample:
    gc.collect()
    start = time.perf_counter()
    work = step()
    seconds = time.perf_counter() - start
    return Sample(work, seconds if work.seconds is None else work.seconds, peak_bytes())


def peak_bytes() -> int:
    """Return the highest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux a new process inherits its parent's ru_maxrss, but not VmHWM
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
