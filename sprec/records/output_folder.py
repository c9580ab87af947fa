"""One folder, one run: a run claims its output folder, and no run writes over another's record."""

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path

from sprec.records.from_json import encode_json
from sprec.records.record_file import RecordError, read_document
from sprec.records.redaction import redact, redact_text, redact_word
from sprec.records.run_record import FILE_NAME
from sprec.store.atomic_files import write_atomically
from sprec.store.folder_search import files_below

CLAIM_FILE = "claim.json"
"""Who writes into a folder; all that is left of a run that ended before it had a record."""

STOPPED = ("running", "failed")
FOLDER_OPTION = "hydra.run.dir="
DRAWN_ROWS_SEED = "rows_seed_drawn"
"""Key of a record's configuration: the seed that a run with `rows_seed=entropy` drew for itself."""


class FolderInUseError(ValueError):
    """An output folder of another run; the message is one line and names a free folder."""


@dataclass(frozen=True)
class Claim:
    """The run that a folder belongs to: its command, its place in a sweep, and what ended it early."""

    command: str
    started: str
    sweep: str = ""
    choices: tuple[str, ...] = ()
    error: str | None = None


def is_free(folder: Path) -> bool:
    """Return whether nothing lies in the folder, or it does not exist."""
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def free_folder(folder: Path) -> Path:
    """Return the folder, or the first of `folder-2`, `folder-3`, … that is free."""
    return next(candidate for candidate in _numbered(folder) if is_free(candidate))


def make_free_folder(folder: Path) -> Path:
    """Make and return the first free folder of these names; no two processes get the same one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for candidate in _numbered(folder):
        with suppress(FileExistsError):  # of processes that try the same name at once, one makes it
            candidate.mkdir()
            return candidate
    raise AssertionError("numbers do not end")


def _numbered(folder: Path) -> Iterator[Path]:
    yield folder
    for number in count(2):
        yield folder.with_name(f"{folder.name}-{number}")


def fresh_command(command: str, name: str | None = None) -> str:
    """Return the command of a run with a free output folder in place of its own.

    `name` is the folder's, beside its own. A command without this option makes a new folder anyway.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a damaged record may hold what no shell takes
        return command
    for place, word in enumerate(words):
        if word.startswith(FOLDER_OPTION):
            folder = Path(word.removeprefix(FOLDER_OPTION))
            words[place] = f"{FOLDER_OPTION}{free_folder(folder.with_name(name) if name else folder)}"
    return shlex.join(words)


def refuse_other_record(folder: Path, config: Mapping[str, object]) -> None:
    """Raise `FolderInUseError` if the folder holds a record that this run may not write over.

    A record of the same configuration that did not finish is this run's own, stopped or killed earlier.
    """
    document = _read_json(folder / FILE_NAME)
    if document is None:
        return
    same = _comparable(document.get("config")) == _comparable(config)
    if same and document.get("status") in STOPPED:
        return
    own = "this run's finished" if same else "another run's"
    raise FolderInUseError(
        f"{folder} holds {own} record; choose a free folder: {FOLDER_OPTION}{free_folder(folder)}"
    )


def drawn_rows_seed(folder: Path) -> int | None:
    """Return the seed that the folder's stopped run drew for its rows, with which it goes on; None: none."""
    document = _read_json(folder / FILE_NAME) or {}
    config = document.get("config")
    seed = config.get(DRAWN_ROWS_SEED) if isinstance(config, Mapping) else None
    return seed if isinstance(seed, int) and document.get("status") in STOPPED else None


@contextmanager
def claim_folder(folder: Path, claim: Claim) -> Iterator[None]:
    """Own the folder while the block runs, and note in it what ended the block, if anything.

    Raises `FolderInUseError` if another process owns the folder now. The claim ends with the process,
    whatever ends that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        _write(folder, claim)
        try:
            yield
        except BaseException as error:
            text = " ".join(str(error).split()) or type(error).__name__
            _write(folder, replace(claim, error=text))
            raise
        if not (folder / FILE_NAME).exists():  # a plan or a description has no record to wait for
            (folder / CLAIM_FILE).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def find_unrecorded(paths: Sequence[Path]) -> list[tuple[Path, Claim]]:
    """Return folders below these paths whose run ended, or was killed, before it had a record.

    Folders that cannot be listed are passed over: whoever reads the records says so.
    """
    folders = [path for path in paths if path.is_dir()]
    claim_files = (
        file for one in folders for file in files_below(one, CLAIM_FILE, unreadable=lambda _: None)
    )
    # By their resolved paths, as records are: no run counts twice.
    claimed = {file.resolve(): file for file in claim_files}
    files = sorted(claimed.values())
    claims = [(file.parent, _read_claim(file)) for file in files if not (file.parent / FILE_NAME).exists()]
    return [(folder, claim) for folder, claim in claims if claim is not None]


def read_choices(folder: Path) -> tuple[str, ...]:
    """Return what a sweep chose for the job that owns this folder, as `key=value`; () outside a sweep."""
    claim = _read_claim(folder / CLAIM_FILE)
    return claim.choices if claim else ()


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderInUseError(
            f"another run is writing to {folder} now; choose a free folder: "
            f"{FOLDER_OPTION}{free_folder(folder)}"
        ) from None
    except OSError:  # a file system without locks: `make_free_folder` still keeps runs apart
        return


def _write(folder: Path, claim: Claim) -> None:
    error = None if claim.error is None else redact_text(claim.error)
    clean = replace(
        claim,
        command=redact_text(claim.command),
        choices=tuple(map(redact_text, claim.choices)),
        error=error,
    )
    write_atomically(folder / CLAIM_FILE, json.dumps(asdict(clean), indent=2) + "\n")


def _read_claim(file: Path) -> Claim | None:
    """Return the claim in a file without secrets, or None if it is damaged: it is only a note."""
    document = _read_json(file)
    if document is None or not isinstance(document.get("command"), str):
        return None
    choices, error = document.get("choices"), document.get("error")
    return Claim(
        command=redact_text(str(document["command"])),
        started=str(document.get("started", "")),
        sweep=str(document.get("sweep", "")),
        choices=tuple(redact_word(str(choice)) for choice in choices) if isinstance(choices, list) else (),
        error=None if error is None else redact_text(str(error)),
    )


def _read_json(file: Path) -> dict[str, object] | None:
    """Return the object in a file; None if there is no file, and {} if it holds anything else."""
    if not file.exists():
        return None
    try:  # as a record: bounded, and without what makes a terminal act
        return dict(read_document(file))
    except RecordError:
        return {}


def _comparable(config: object) -> object:
    """Return a configuration as it stands in a record, without the seed that a run drew for itself."""
    if not isinstance(config, Mapping):
        return None

    plain = encode_json({name: redact(value, name) for name, value in config.items()})
    return {name: value for name, value in plain.items() if name != DRAWN_ROWS_SEED}
