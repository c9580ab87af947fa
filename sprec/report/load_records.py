"""The run records that a report is made from."""

from collections.abc import Sequence
from pathlib import Path

from sprec.records.run_record import RecordError, RunRecord, find_records

# Where runs are looked for when no path is named.
DEFAULT_FOLDERS = (Path("multirun"), Path("outputs"))


def load_records(paths: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Return the runs below these paths, or below the default folders, with the files they come from.

    `RecordError` where there are none, or where a path does not exist.
    """
    records = find_records(list(paths) or [folder for folder in DEFAULT_FOLDERS if folder.exists()])
    if not records:
        folders = ", ".join(map(str, paths or DEFAULT_FOLDERS))
        raise RecordError(f"no run.json below {folders}; run something first, or name other folders")
    return records
