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
from sprec.experiment.build import Components, build_components
from sprec.experiment.config import Settings, TrainerSettings, validate_settings
from sprec.experiment.prepare import (
    build_context,
    build_row_sampling,
    load_or_build_dataset,
    store_base_model,
)
from sprec.processes.torchrun import FAILURE_PREFIX, LOG_PREFIX, Work
from sprec.store.stage import Stage
from sprec.store.store import Store
from sprec.training.context import ModelState, StageContext
from sprec.training.row_sampling import RowSampling
from sprec.training.stages import Stages


class WorkFinder(Stages):
    """Goes through a run's stages without computing any, and notes the work of the one with `key`."""

    def __init__(self, context: StageContext, store: Store, sampling: RowSampling, key: str) -> None:
        super().__init__(context, store, sampling, on_result=lambda *_: None)
        self.key = key
        self.work: Work | None = None

    def run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> ModelState:
        """Remember the work if this is the stage."""
        self.work = work if stage.key == self.key else self.work
        stored = self.store.find(stage)
        return (
            ModelState(stored.key, stored.path) if stored else ModelState(stage.key, self.store.path(stage))
        )


def main() -> None:
    """Do this process's share of the work; the process of rank 0 writes, and a failure is one line."""
    task = json.loads(Path(sys.argv[1]).read_text())
    is_first = os.environ["RANK"] == "0"
    level = logging.INFO if is_first else logging.WARNING
    logging.basicConfig(level=level, format=f"{LOG_PREFIX}%(message)s")
    try:
        work = _join_group(validate_settings(task["settings"]), task["stage"])
        if is_first:
            work(Path(task["folder"]))
        else:
            # The others share the passes; the files that they write are the first one's again, and go.
            with TemporaryDirectory() as folder:
                work(Path(folder))
        dist.destroy_process_group()
    except Exception as error:
        sys.stderr.write(f"{FAILURE_PREFIX}{' '.join(str(error).split()) or type(error).__name__}\n")
        raise


def _join_group(settings: Settings, key: str) -> Work:
    """Join the group and return the work of the stage with this key."""
    trainer, local_rank = settings.trainer, int(os.environ["LOCAL_RANK"])
    components = build_components(settings)
    whole = load_or_build_dataset(components)
    # Before there is a group: in one, transformers lets only rank 0 write, whoever holds the store's lock.
    store_base_model(components, whole)
    if components.device == "cuda":
        torch.cuda.set_device(local_rank)
    torch.set_num_threads(max(1, trainer.cpu_threads // trainer.devices))
    dist.init_process_group("cpu:gloo,cuda:nccl" if components.device == "cuda" else "gloo")
    context, base = build_context(components, settings, whole, sharded=trainer.shard)
    context = replace(context, trainer={**context.trainer, **_lightning_options(trainer, components.device)})
    return _find_work(settings, components, context, base, key)


def _find_work(
    settings: Settings, components: Components, context: StageContext, base: ModelState, key: str
) -> Work:
    finder = WorkFinder(context, components.store, build_row_sampling(settings), key)
    assert isinstance(components.method, SelfPlayAlgorithm)  # a baseline trains in one process
    for _ in components.method.train(finder, base):
        if finder.work is not None:
            return finder.work
    raise ValueError(f"no stage of this run has the key {key}")


def _lightning_options(trainer: TrainerSettings, device: str) -> dict[str, object]:
    """Return what Lightning has to know of the group.

    The tuner sums gradients itself, so Lightning may take a sharded model for one on one device.
    """
    if trainer.shard:
        return {"devices": 1 if device == "cpu" else [int(os.environ["LOCAL_RANK"])]}
    return {"strategy": "ddp", "devices": trainer.devices, "num_nodes": trainer.nodes}


if __name__ == "__main__":
    main()
