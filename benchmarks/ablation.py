"""Four ablation arms that share one store: how much time is spent outside their distinct stages."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Step, Work
from sprec.experiment.build import build_components
from sprec.experiment.config import Settings
from sprec.experiment.prepare import load_or_build_dataset
from sprec.experiment.session import Session
from sprec.records.run_record import StageEntry

CATALOG_NEGATIVES = "negatives=constrained"
"""After a few tuning steps a model may write no title; decoding within the catalogue always gives one."""
ARMS = (
    ("method=sprec", CATALOG_NEGATIVES),
    ("method=without_sft", CATALOG_NEGATIVES),
    ("method=without_dpo", CATALOG_NEGATIVES),
    ("method=random_negatives",),
)
"""Overrides of the four arms."""


def run_arms(settings: Sequence[Settings], place: Path) -> Step:
    """Return a step that runs each arm in its own folder, all with the store that the settings name.

    Raw data is read beforehand. `parts` of the step's work holds two sums of seconds: "distinct", of the
    stages that were computed, and "apart", of all stages of all arms, which is their time without the store.
    """
    load_or_build_dataset(build_components(settings[0]))

    def run_step() -> Work:
        start = time.perf_counter()
        entries: list[StageEntry] = []
        for arm in settings:
            folder = place / arm.method.name
            folder.mkdir(parents=True)
            record = Session(arm, folder, "bench", console=Console(quiet=True)).run()
            assert record is not None
            entries += record.stages
        distinct = sum(entry.seconds for entry in entries if not entry.reused)
        parts = {"distinct": distinct, "apart": sum(entry.seconds for entry in entries)}
        return Work(len(settings), 0, time.perf_counter() - start, parts)

    return run_step
