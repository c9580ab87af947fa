"""What is stored, for people who look after a store: sizes, ages, last use, makers; and what may go."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sprec.store.folder_search import files_below
from sprec.store.stage import KEY, STAGE_NAME
from sprec.store.stage_files import DESCRIPTION

_RECORD = "run.json"


@dataclass(frozen=True)
class StoredStage:
    """A stage's folder as it lies there; times are in seconds since 1970, `made` is who made it."""

    name: str
    key: str
    folder: Path
    size_bytes: int
    made_at: float
    used_at: float
    made: dict[str, Any]
    inputs: dict[str, str]


def list_stages(root: Path) -> list[StoredStage]:
    """Return the stages below a store's root, the least recently used first; other folders are no stages."""
    folders = [
        folder
        for folder in root.glob("*/*")
        if folder.is_dir() and STAGE_NAME.fullmatch(folder.parent.name) and KEY.fullmatch(folder.name)
    ]
    return sorted(map(_describe, folders), key=lambda stage: (stage.used_at, stage.key))


def used_keys(paths: Sequence[Path]) -> set[str]:
    """Return the keys of the stages in the records at these paths, behind links too.

    `ValueError` if one cannot be read, or a folder cannot be listed.
    """
    files: set[Path] = set()
    for path in paths:
        below = list(files_below(path, _RECORD, unreadable=_refuse)) if path.is_dir() else [path]
        if not below:
            raise ValueError(f"no {_RECORD} below {path}; nothing is pruned")
        files.update(below)
    return {key for file in sorted(files) for key in _recorded_keys(file)}


def with_inputs(keys: set[str], stages: Sequence[StoredStage]) -> set[str]:
    """Return the keys with those of all stages that they were computed from, however indirectly."""
    by_key = {stage.key: stage for stage in stages}
    needed, waiting = set(), list(keys)
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            # Inputs are digests of files too, which no stage has as its key.
            waiting += by_key[key].inputs.values() if key in by_key else []
    return needed


def remove_stage(root: Path, stage: StoredStage) -> None:
    """Remove a stage: it vanishes in one step, so that nobody reads half of it."""
    # Named like a partial folder: what a kill leaves here goes with the next clean-up.
    bin_folder = root / ".partial" / f"{stage.key}.removed.{time.time_ns()}"
    bin_folder.parent.mkdir(parents=True, exist_ok=True)
    stage.folder.rename(bin_folder)
    shutil.rmtree(bin_folder)


def _refuse(error: OSError) -> NoReturn:
    raise ValueError(f"{error.filename} cannot be listed ({error.strerror}); nothing is pruned") from error


def _recorded_keys(file: Path) -> Iterator[str]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        yield from [str(entry["key"]) for entry in document["stages"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        # Going on would prune what this record uses.
        raise ValueError(f"{file} cannot be read as a record ({error}); nothing is pruned") from error


def _describe(folder: Path) -> StoredStage:
    files = [path for path in folder.rglob("*") if path.is_file()]
    description = folder / DESCRIPTION
    try:
        document = json.loads(description.read_text(encoding="utf-8"))
        made, inputs = dict(document.get("made") or {}), dict(document.get("inputs") or {})
        # The store touches it at each use: many file systems note no time of reading.
        used_at = description.stat().st_mtime
    except (OSError, ValueError, TypeError, AttributeError):
        made, inputs, used_at = {}, {}, folder.stat().st_mtime
    return StoredStage(
        *(folder.parent.name, folder.name, folder),
        size_bytes=sum(path.stat().st_size for path in files),
        made_at=folder.stat().st_ctime,  # the rename to its final name set it
        used_at=used_at,
        made=made,
        inputs=inputs,
    )
