"""`python results/keep.py RUN_JSON FILE`: keep a run's record as evidence of a table, without titles.

Most datasets may not be redistributed, so items keep their ids, genres and popularity alone.
"""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from sprec.records.run_record import RunRecord

FOLDERS = ("hydra.run.dir=", "hydra.sweep.dir=")


def without_titles(record: RunRecord) -> RunRecord:
    """Return the record with each title replaced by the item's id, and without written titles."""
    items = {name: replace(item, title=f"item {name}") for name, item in record.items.items()}
    evaluations = tuple(replace(evaluation, written=()) for evaluation in record.evaluations)
    return replace(record, items=items, evaluations=evaluations)


def without_folder(record: RunRecord) -> RunRecord:
    """Return the record whose command names no folder of the machine that it ran on."""
    words = [word for word in shlex.split(record.command) if not word.startswith(FOLDERS)]
    return replace(record, command=shlex.join(words))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python results/keep.py RUN_JSON FILE")
    source, target = map(Path, sys.argv[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    without_folder(without_titles(RunRecord.load(source))).save(target)
