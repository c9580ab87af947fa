"""The run records that a report is made from."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sprec.records.record_file import RecordError
from sprec.records.run_record import RunRecord, find_records

# Where runs are looked for when no path is named.
DEFAULT_FOLDERS = (Path("multirun"), Path("outputs"))


MOST_NOTES = 5


def load_records(paths: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Return what `read_records` does; what is left out is said on standard error."""
    records, notes = read_records(paths)
    sys.stderr.writelines(f"sprec.report: {note}\n" for note in notes)
    return records


def read_records(paths: Sequence[Path]) -> tuple[list[tuple[Path, RunRecord]], list[str]]:
    """Return the runs below these paths, or below the default folders, with the files they come from.

    Beside them stands a note for each record that cannot be read and is left out. `RecordError` where no run
    is left, or where a path does not exist.
    """
    records, errors = find_records(list(paths) or [folder for folder in DEFAULT_FOLDERS if folder.exists()])
    if not records and errors:
        raise errors[0]
    if not records:
        folders = ", ".join(map(str, paths or DEFAULT_FOLDERS))
        raise RecordError(f"no run.json below {folders}; run something first, or name other folders")
    notes = [f"left out: {error}" for error in errors[:MOST_NOTES]]
    more = len(errors) - MOST_NOTES
    return records, [*notes, *([f"left out: {more} more records that cannot be read"] if more > 0 else [])]
