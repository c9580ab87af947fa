"""The run records that a report is made from."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sprec.records.record_checks import load_checked
from sprec.records.record_file import RecordError
from sprec.records.record_search import find_records
from sprec.records.run_record import RunRecord
from sprec.report.tables.missing import unrecorded_notes

# Where runs are looked for when no path is named.
DEFAULT_FOLDERS = (Path("multirun"), Path("outputs"))


MOST_NOTES = 5


def load_records(paths: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Return the runs that `load_records_and_notes` does."""
    return load_records_and_notes(paths)[0]


def load_records_and_notes(paths: Sequence[Path]) -> tuple[list[tuple[Path, RunRecord]], list[str]]:
    """Return what `read_records` does, with a note on each run that ended before it had a record.

    The notes are said on standard error as well.
    """
    records, left_out = read_records(paths)
    notes = [*left_out, *unrecorded_notes(paths or DEFAULT_FOLDERS)]
    sys.stderr.writelines(f"sprec.report: {note}\n" for note in notes)
    return records, notes


def read_records(paths: Sequence[Path]) -> tuple[list[tuple[Path, RunRecord]], list[str]]:
    """Return the runs below these paths, or below the default folders, with the files they come from.

    Beside them stands a note for each record that cannot be read or shown and is left out (see
    `check_record`). `RecordError` where no run is left, or where a path does not exist.
    """
    places = list(paths) or [folder for folder in DEFAULT_FOLDERS if folder.exists()]
    records, errors = find_records(places, load_checked)
    if not records and errors:
        raise errors[0]
    if not records:
        folders = ", ".join(map(str, paths or DEFAULT_FOLDERS))
        raise RecordError(f"no run.json below {folders}; run something first, or name other folders")
    notes = [f"left out: {error}" for error in errors[:MOST_NOTES]]
    more = len(errors) - MOST_NOTES
    return records, [*notes, *([f"left out: {more} more records that cannot be read"] if more > 0 else [])]
