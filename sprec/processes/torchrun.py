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

SAYS, FAILS = "sprec says ", "sprec fails "
"""How a line of a group's output begins that is for the log, or says why the group failed."""

_TASK = ".group.json"
_TAIL_LINES = 200
_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


class GroupError(RuntimeError):
    """A group of processes that did not finish; the message is one line."""


def alone(stage: Stage, work: Work) -> Work:
    """Return the work as it is: this process does it."""
    return work


@dataclass(frozen=True)
class Group:
    """Has the work of a stage done by `devices` processes on each of `nodes` machines.

    Each runs `python -m sprec.experiment.distributed_worker FILE`.
    FILE names `settings`, the stage and its folder, which all
    machines must see. `spread` is the command that starts another once on each machine (`srun …`).
    """

    settings: Mapping[str, object]
    devices: int
    nodes: int = 1
    spread: Sequence[str] = ()

    def __call__(self, stage: Stage, work: Work) -> Work:
        """Return work that starts the group and waits for it."""
        return partial(self._run, stage.key)

    def _run(self, key: str, folder: Path) -> None:
        """Raise `GroupError` where the group fails; it ends with this process, whatever ends that."""
        task = folder / _TASK
        task.write_text(json.dumps({"settings": self.settings, "stage": key, "folder": str(folder)}))
        try:
            _followed(self.command(task))
        finally:
            task.unlink(missing_ok=True)

    def command(self, task: Path) -> list[str]:
        """Return the command that starts the group's processes."""
        here = ["--standalone"]
        if self.nodes > 1:
            here = [f"--nnodes={self.nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={_free_endpoint()}"]
            here += [f"--rdzv-id={task.parent.name}"]
        torchrun = [sys.executable, "-m", "torch.distributed.run", *here, f"--nproc-per-node={self.devices}"]
        return [
            *(self.spread if self.nodes > 1 else ()),
            *torchrun,
            "-m",
            "sprec.experiment.distributed_worker",
            str(task),
        ]


def _followed(command: Sequence[str]) -> None:
    """Run the command, logging what it says."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    reasons: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=dying_with_parent(),
        )
    except FileNotFoundError as error:
        raise GroupError(
            f"trainer.launch_command: no command {command[0]!r} here; name the one that starts a "
            "command on each machine of the job"
        ) from error
    try:
        assert process.stdout is not None
        for line in map(str.rstrip, process.stdout):
            if line.startswith(SAYS):
                log.info("%s", line.removeprefix(SAYS))
            tail.append(line)
            reasons += [line.removeprefix(FAILS)] if line.startswith(FAILS) else []
        status = process.wait()
    except BaseException:
        process.terminate()  # torchrun then ends its processes
        process.wait()
        raise
    if status:
        failure = GroupError(reasons[0] if reasons else f"a process of the group was ended (status {status})")
        failure.add_note("\n".join(tail))
        raise failure


def dying_with_parent() -> Callable[[], object] | None:
    """Return what makes a new process end when this one is killed; None where the system is not Linux."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, _PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{socket.gethostname()}:{probe.getsockname()[1]}"
