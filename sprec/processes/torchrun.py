"""Stages whose work a group of processes does together, started by torchrun."""

import ctypes
import json
import logging
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sprec.store.stage import Stage

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[Path], None]
"""Fills the empty folder of a stage."""

LOG_PREFIX, FAILURE_PREFIX = "sprec logs ", "sprec fails "
"""How a line of a group's output begins that belongs in the log, or says why the group failed."""

_TASK = ".group.json"
_TAIL_LINES = 200
_PR_SET_PDEATHSIG = 1  # of prctl(2)


class GroupError(RuntimeError):
    """A group of processes that did not finish; the message is one line."""


def in_process(stage: Stage, work: Work) -> Work:
    """Return the work unchanged: this process does it."""
    return work


@dataclass(frozen=True)
class TorchrunGroup:
    """Runs the work of a stage in `devices` processes on each of `nodes` machines.

    Each runs `python -m sprec.experiment.distributed_worker FILE`. FILE holds the settings, the stage's key
    and its folder, which all machines must see. `launch_command` starts what follows it once on each machine
    (`srun …`).
    """

    settings: Mapping[str, object]
    devices: int
    nodes: int = 1
    launch_command: Sequence[str] = ()

    def __call__(self, stage: Stage, work: Work) -> Work:
        """Return work that starts the group and waits for it."""
        return partial(self._run, stage.key)

    def _run(self, key: str, folder: Path) -> None:
        """Raise `GroupError` if the group fails; it never outlives this process."""
        task = folder / _TASK
        task.write_text(json.dumps({"settings": self.settings, "stage": key, "folder": str(folder)}))
        try:
            _run_logged(self.command(task))
        finally:
            task.unlink(missing_ok=True)

    def command(self, task: Path) -> list[str]:
        """Return the command that starts the group's processes."""
        rendezvous = ["--standalone"]
        if self.nodes > 1:
            endpoint, name = f"--rdzv-endpoint={_free_endpoint()}", f"--rdzv-id={task.parent.name}"
            rendezvous = [f"--nnodes={self.nodes}", "--rdzv-backend=c10d", endpoint, name]
        launcher = [sys.executable, "-m", "torch.distributed.run", *rendezvous]
        worker = ["-m", "sprec.experiment.distributed_worker", str(task)]
        launch_command = self.launch_command if self.nodes > 1 else ()
        return [*launch_command, *launcher, f"--nproc-per-node={self.devices}", *worker]


def _run_logged(command: Sequence[str]) -> None:
    """Run the command and log the lines that are for the log; raise `GroupError` if it fails."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    reasons: list[str] = []
    process = _start(command)
    try:
        assert process.stdout is not None
        for line in map(str.rstrip, process.stdout):
            if line.startswith(LOG_PREFIX):
                log.info("%s", line.removeprefix(LOG_PREFIX))
            tail.append(line)
            reasons += [line.removeprefix(FAILURE_PREFIX)] if line.startswith(FAILURE_PREFIX) else []
        status = process.wait()
    except BaseException:
        process.terminate()  # torchrun passes it on to its processes
        process.wait()
        raise
    if status:
        failure = GroupError(reasons[0] if reasons else f"a process of the group was ended (status {status})")
        failure.add_note("\n".join(tail))
        raise failure


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command with both of its streams in one pipe."""
    try:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=end_with_parent(),
        )
    except FileNotFoundError as error:
        raise GroupError(
            f"trainer.launch_command: no command {command[0]!r} here; name the one that starts a "
            "command on each machine of the job"
        ) from error


def end_with_parent() -> Callable[[], object] | None:
    """Return what a new process calls to be ended when its parent dies; None if the system is not Linux."""
    if sys.platform != "linux":
        return None
    # The library is loaded before the fork: loading takes locks that another thread may hold.
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{socket.gethostname()}:{probe.getsockname()[1]}"
