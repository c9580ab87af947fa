"""The files of a finished stage: `stage.json`, which describes them, and whether they still agree with it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sprec.store.stage import JSON, Stage

DESCRIPTION = "stage.json"


@dataclass(frozen=True)
class Description:
    """What `stage.json` says: the stage, its seconds, bytes and SHA-256 per file, and who made it."""

    stage: Mapping[str, Any]
    seconds: float
    files: Mapping[str, Mapping[str, Any]]
    made: Mapping[str, Any]

    def describes(self, stage: Stage, *, any_code: bool = False) -> bool:
        """Return whether this is the stage, also if other code made it where `any_code` is true."""
        expected, ignored = stage.describe(), {"code", "versions"} if any_code else set()
        return _without(self.stage, ignored) == _without(expected, ignored)


def read_description(folder: Path) -> Description | None:
    """Return the description in a folder, or None if there is none that this version wrote.

    Raises `OSError` if it is there and cannot be read.
    """
    try:
        document = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        files, made = document.pop("files"), document.pop("made")
        description = Description(document, float(document.pop("seconds")), files, made)
        _ = [(int(entry["bytes"]), str(entry["sha256"])) for entry in files.values()], made.items()
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        # What does not parse is damage and is computed again; a disk that cannot be read must stop the run.
        return None
    return description


def write_description(folder: Path, stage: Stage, seconds: float, made: Mapping[str, JSON]) -> None:
    """Write `stage.json` beside the stage's finished files."""
    files = {name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for name, path in _files(folder)}
    document = {**stage.describe(), "seconds": seconds, "files": files, "made": made}
    (folder / DESCRIPTION).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def find_damage(folder: Path, description: Description, *, contents: bool) -> str:
    """Return what is wrong with a stage's files, or "" if they are as described.

    Sizes are always compared; `contents` are too if asked for, which reads every byte. Files that somebody
    added later do no harm. Raises `OSError` if a file cannot be read.
    """
    for name, expected in description.files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        # A plan asks for sizes alone: they show a file cut short without reading gigabytes.
        if path.stat().st_size != expected["bytes"]:
            return f"{name} has {path.stat().st_size} bytes, not {expected['bytes']}"
        if contents and _sha256(path) != expected["sha256"]:
            return f"{name} is not the file that was stored"
    return ""


def follow_umask(folder: Path) -> None:
    """Give files and folders the modes that the umask, or a default ACL, gives to new ones.

    safetensors writes files of mode 0600 whatever the umask, which locks out others who share the store.
    """
    # `stage.json` and the folder itself were made by plain calls, so they show what the umask makes of them.
    # Asking for the umask means setting it, for every thread at once.
    file_mode, folder_mode = ((path.stat().st_mode & 0o777) for path in (folder / DESCRIPTION, folder))
    for parent, folders, names in os.walk(folder):
        for name in folders:
            Path(parent, name).chmod(folder_mode)
        for name in names:
            if not Path(parent, name).is_symlink():  # chmod would change its target
                Path(parent, name).chmod(file_mode)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return every file below `folder` except the description, by its relative name."""
    paths = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    # `stage.json` cannot hold its own checksum.
    return sorted((name, path) for name, path in paths if name != DESCRIPTION)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _without(document: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
