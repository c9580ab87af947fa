"""One process of a group, started by torchrun: `python -m sprec.experiment.distributed_worker FILE`."""

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist

from sprec.algorithm import SelfPlayAlgorithm
from sprec.experiment.build import Built, base_folder, build, drawn, engine, sizes, stored, threads
from sprec.experiment.config import Settings, validate_settings
from sprec.processes.torchrun import FAILURE_PREFIX, LOG_PREFIX, Work
from sprec.store.stage import Stage
from sprec.store.store import Store
from sprec.training.context import ModelState, StageContext
from sprec.training.row_sampling import RowSampling
from sprec.training.stages import Stages


class Search(Stages):
    """Goes through a run's stages, computing none, and keeps the work of the one with `key`."""

    def __init__(self, shared: StageContext, store: Store, rows: RowSampling, key: str) -> None:
        super().__init__(shared, store, rows, done=lambda *_: None)
        self.key = key
        self.found: Work | None = None

    def _run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> Path:
        self.found = work if stage.key == self.key else self.found
        return self.store.path(stage)


def main() -> None:
    """Do this process's part of the work; the process of rank 0 writes, and a failure is one line."""
    task = json.loads(Path(sys.argv[1]).read_text())
    first = os.environ["RANK"] == "0"
    logging.basicConfig(level=logging.INFO if first else logging.WARNING, format=f"{LOG_PREFIX}%(message)s")
    try:
        work = _joined(validate_settings(task["settings"]), task["stage"])
        if first:
            work(Path(task["folder"]))
        else:
            with TemporaryDirectory() as folder:
                work(Path(folder))
        dist.destroy_process_group()
    except Exception as error:
        sys.stderr.write(f"{FAILURE_PREFIX}{' '.join(str(error).split()) or type(error).__name__}\n")
        raise


def _joined(settings: Settings, key: str) -> Work:
    """Join the group and return the work of the stage with this key."""
    trainer, local = settings.trainer, int(os.environ["LOCAL_RANK"])
    built = build(settings)
    whole = stored(built)
    data = drawn(whole, settings)
    base_folder(built, data)  # in a group transformers lets rank 0 alone write, whoever has the store's lock
    if built.device == "cuda":
        torch.cuda.set_device(local)
    torch.set_num_threads(max(1, threads(settings) // trainer.devices))
    dist.init_process_group("cpu:gloo,cuda:nccl" if built.device == "cuda" else "gloo")
    shared, base = engine(built, settings, data, whole.digest, sharded=trainer.shard)
    return _work(settings, built, shared, base, key)


def _work(settings: Settings, built: Built, shared: StageContext, base: ModelState, key: str) -> Work:
    search = Search(_together(shared, settings), built.store, sizes(settings), key)
    assert isinstance(built.method, SelfPlayAlgorithm)  # nothing else is tuned
    for _ in built.method.states(search, base):
        if search.found is not None:
            return search.found
    raise ValueError(f"no stage of this run has the key {key}")


def _together(alone: StageContext, settings: Settings) -> StageContext:
    """Return what stages share in a process of the group, and what Lightning is told of the group.

    The tuner sums gradients itself, so a model that is shared out is to Lightning one on one device.
    """
    trainer = settings.trainer
    known: dict[str, object] = {"strategy": "ddp", "devices": trainer.devices, "num_nodes": trainer.nodes}
    if trainer.shard:
        on_cpu = alone.trainer["accelerator"] == "cpu"
        known = {"devices": 1 if on_cpu else [int(os.environ["LOCAL_RANK"])]}
    return replace(alone, trainer={**alone.trainer, **known})


if __name__ == "__main__":
    main()
