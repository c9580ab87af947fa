"""`python results/keep.py RUN_JSON FILE`: keep a run's record as evidence of a table, without titles.

Most datasets may not be redistributed, so items keep their ids, genres and popularity alone.
"""

import sys
from dataclasses import replace
from pathlib import Path

from sprec.records.run_record import RunRecord


def without_titles(record: RunRecord) -> RunRecord:
    """Return the record with each title replaced by the item's id, and without written titles."""
    items = {name: replace(item, title=f"item {name}") for name, item in record.items.items()}
    evaluations = tuple(replace(evaluation, written=()) for evaluation in record.evaluations)
    return replace(record, items=items, evaluations=evaluations)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    without_titles(RunRecord.load(source)).save(target)
