"""The ablation's four arms through one store: how much of the time is not in its distinct stages."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Step, Work
from sprec.experiment.build import build, stored
from sprec.experiment.config import Settings
from sprec.experiment.session import Session
from sprec.records.run_record import StageEntry

SURE = "negatives=constrained"
"""A model that was tuned for a few steps may write no title; the best of the catalogue's is always one."""
ARMS = (
    ("method=sprec", SURE),
    ("method=without_sft", SURE),
    ("method=without_dpo", SURE),
    ("method=random_negatives",),
)
"""Choices of the four arms."""


def arms(settings: Sequence[Settings], place: Path) -> Step:
    """Return a step that runs each arm anew in its own folder, all with the store that the settings name.

    Raw data is read beforehand.

    `parts` of its work: "distinct" seconds of the stages computed, and "apart", those of all stages of all
    arms, which is what they would take without the store.
    """
    stored(build(settings[0]))

    def take() -> Work:
        start = time.perf_counter()
        entries: list[StageEntry] = []
        for each in settings:
            folder = place / each.method.name
            folder.mkdir(parents=True)
            record = Session(each, folder, "bench", console=Console(quiet=True)).run()
            assert record is not None
            entries += record.stages
        distinct = sum(entry.seconds for entry in entries if not entry.reused)
        parts = {"distinct": distinct, "apart": sum(entry.seconds for entry in entries)}
        return Work(len(settings), 0, time.perf_counter() - start, parts)

    return take
