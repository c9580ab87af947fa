"""What a killed stage goes on from: weights, optimiser, schedule, curve and random state of its last step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from sprec.store.atomic_files import atomic_path
from sprec.training import distributed

log = logging.getLogger(__name__)
FILE = "training.pt"
State = Mapping[str, Any]


class TrainingCheckpoint:
    """A file in `folder` that is written whole every so many minutes; the folder outlives a kill.

    Without a folder, or with several processes, nothing is kept: the stage starts again.
    """

    def __init__(self, folder: Path | None, minutes: float) -> None:
        # Random states differ between processes, and a kill may come between the files of two of them.
        self.path = folder / FILE if folder and distributed.world_size() == 1 else None
        self.seconds, self._last = 60 * minutes, time.monotonic()

    def load(self, device: torch.device) -> State | None:
        """Return the state that was written last, its weights on the device, or None."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            # A store may be shared: numbers alone are read, no pickled code.
            state: State = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:
            log.warning("%s cannot be read (%s): training starts again", self.path, error)
            self.path.unlink()
            return None
        log.info("going on after step %d, from a checkpoint", state["step"])
        return state

    def save_if_due(self, make_state: Callable[[], State]) -> None:
        """Write the state if the time since the last one has passed."""
        if self.path is None or time.monotonic() - self._last < self.seconds:
            return
        state = dict(make_state())
        try:
            with atomic_path(self.path) as partial:
                torch.save(state, partial)
        except (OSError, RuntimeError) as error:  # torch's own, in C++, does not say that the disk is full
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            log.warning("no checkpoint, since %s cannot be written: %s", self.path.parent, reason)
        self._last = time.monotonic()


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the state of torch's generators, which dropout draws from."""
    cuda = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def set_random_state(state: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Set the state of torch's generators."""
    # `load` has put all tensors on the device, and generators take their state from the CPU.
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
