"""Records below folders, each once, and what could not be read there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sprec.records.record_file import RecordError
from sprec.records.run_record import FILE_NAME, RunRecord
from sprec.store.folder_search import files_below


def find_records(
    paths: Sequence[Path], load: Callable[[Path], RunRecord] = RunRecord.load
) -> tuple[list[tuple[Path, RunRecord]], list[RecordError]]:
    """Return the records in these files and anywhere below these folders, each once, sorted by path.

    Beside them stands why `load` refuses each of the others, and which folders cannot be listed: one that is
    damaged must not hide the rest. Raises `RecordError` for a path that does not exist.
    """
    errors: list[RecordError] = []
    # By their resolved paths: a folder that is named twice, in two ways, must not count twice.
    files = {file.resolve(): file for path in paths for file in _record_files(path, errors)}.values()
    records: list[tuple[Path, RunRecord]] = []
    for file in sorted(files):
        try:
            records.append((file, load(file)))
        except RecordError as error:
            errors.append(error)
    return records, errors


def _record_files(path: Path, errors: list[RecordError]) -> list[Path]:
    if path.is_dir():
        return list(files_below(path, FILE_NAME, unreadable=lambda error: errors.append(_unlisted(error))))
    if path.exists():
        return [path]
    raise RecordError(f"{path} does not exist; name a {FILE_NAME} or a folder that holds some")


def _unlisted(error: OSError) -> RecordError:
    return RecordError(f"{error.filename} cannot be listed ({error.strerror}); its runs are not seen")
