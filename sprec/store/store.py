"""The stage store: what was computed once for the same settings and inputs is not computed again."""

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

from sprec.store.atomic_files import sync_path, sync_tree, write_synced
from sprec.store.stage import Stage

__all__ = ["Stage", "StageResult", "Store", "StoreError"]

log = logging.getLogger(__name__)

LockKind: TypeAlias = Literal["flock", "lease"]
"""How processes agree on who computes a stage (see `Store`)."""

LEASE_SECONDS = 60.0
_POLL_SECONDS = 0.2
_DESCRIPTION = "stage.json"


class StoreError(RuntimeError):
    """The store cannot be used; the message is one line that names the folder and the remedy."""


@dataclass(frozen=True)
class StageResult:
    """A finished stage: its folder, and the seconds it took to compute, in this run or an earlier one."""

    path: Path
    seconds: float
    reused: bool


class Store:
    """Finished stages below `root`, each in a folder `root/name/key`.

    Such a folder is complete: it appears by a single rename after its files have reached the disk, and is
    never written again. Beside the stage's own files it holds `stage.json`: name, version, settings, inputs,
    seconds and the size in bytes of every file. If the folder and its `stage.json` disagree (another key, a
    file missing or of another size), the stage is damaged and computed again. Stages in progress are in
    `root/.partial`, and `root/.locks` holds one lock per key.

    Processes on several hosts can share a root. With `lock="flock"` the kernel releases the lock of a dead
    process; the file system must pass `flock` on to other hosts (NFS on Linux does since 2.6.12, flock(2);
    Lustre if mounted with `flock`). With `lock="lease"` the lock is a file that its owner touches every third
    of `lease_seconds`, which works wherever files can be created exclusively: another process takes over once
    the owner has died on this host, or its file has not been touched for that long. An owner that was
    suspended and wakes up takes its successor's result, or raises `StoreError` if there is none yet. All
    processes that share a root must use the same `lock` and `lease_seconds`.
    """

    def __init__(self, root: Path, lock: LockKind = "flock", *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.root, self.lock, self.lease_seconds = root, lock, lease_seconds

    def path(self, stage: Stage) -> Path:
        """Return the folder of the finished stage, which need not exist yet."""
        return self.root / stage.name / stage.key

    def has(self, stage: Stage) -> bool:
        """Return whether the stage is finished and undamaged, without writing anything."""
        return self._load_finished(stage) is not None

    def run(self, stage: Stage, work: Callable[[Path], None]) -> StageResult:
        """Return the finished stage, calling `work` to fill an empty folder if the stage is not stored.

        The folder is renamed after `work` returns, so its files must not contain its path. While another
        process computes the same key, this one waits and logs whom it is waiting for. If `work` raises,
        nothing is left behind; after a kill the next run starts the stage afresh. A read-only store serves
        finished stages. Raises `StoreError` if a stage must be computed and `root` cannot be written.
        """
        if (finished := self._load_finished(stage)) is not None:
            return finished  # without the lock, which a read-only store could not create
        with self._locked(stage):
            # Another process may have finished it while this one waited for the lock.
            return self._load_finished(stage) or self._compute(stage, work)

    def _load_finished(self, stage: Stage) -> StageResult | None:
        folder = self.path(stage)
        try:
            description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            sizes = description.pop("sizes")
            result = StageResult(folder, float(description.pop("seconds")), reused=True)
            # A subset: files that somebody added later do no harm.
            whole = description == stage.describe() and sizes.items() <= _file_sizes(folder).items()
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
            return None  # not stored, or with a description that this store did not write
        return result if whole else None

    def _compute(self, stage: Stage, work: Callable[[Path], None]) -> StageResult:
        """Fill a partial folder and rename it to the final one; the caller holds the lock of the key."""
        with self._writable():
            self._remove_leftovers(stage)
        partial = self._make_partial_folder(stage)
        try:
            start = time.perf_counter()
            work(partial)
            seconds = time.perf_counter() - start
            write_synced(partial / _DESCRIPTION, _description(stage, partial, seconds))
            sync_tree(partial)
            partial.rename(self.path(stage))
        except Exception as error:
            if partial.exists():
                raise
            # Only a successor removes the folder: this process lost its lease while it was suspended.
            return self._take_successors_result(stage, error)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_path(self.path(stage).parent)
        return StageResult(self.path(stage), seconds, reused=False)

    def _take_successors_result(self, stage: Stage, error: Exception) -> StageResult:
        """Return the result of the process that took over this one's lease."""
        if (theirs := self._load_finished(stage)) is not None:
            return theirs
        raise StoreError(
            f"{stage.name} {stage.key}: this process was suspended for over {self.lease_seconds:g} s and "
            "another one is computing the stage; run the command again to use its result"
        ) from error

    def _remove_leftovers(self, stage: Stage) -> None:
        """Remove partial folders of dead processes for this key, and a damaged final folder."""
        # Whoever holds the lock is the only live process with this key.
        for leftover in self._partial_folders(stage):
            shutil.rmtree(leftover, ignore_errors=True)
        if self.path(stage).exists():
            log.warning("%s does not agree with its %s: computing it again", self.path(stage), _DESCRIPTION)
            shutil.rmtree(self.path(stage))

    @contextmanager
    def _locked(self, stage: Stage) -> Iterator[None]:
        with self._writable():
            (self.root / ".locks").mkdir(parents=True, exist_ok=True)
            lock = self._make_lock(stage)
            self._acquire(lock, stage)
        try:
            yield
        finally:
            lock.release()

    def _make_lock(self, stage: Stage) -> BaseFileLock:
        path = self.root / ".locks" / f"{stage.key}.{'lease' if self.lock == 'lease' else 'lock'}"
        if self.lock == "lease":
            return SoftFileLease(path, lease_duration=self.lease_seconds, poll_interval=_POLL_SECONDS)
        return FileLock(path, poll_interval=_POLL_SECONDS)

    def _acquire(self, lock: BaseFileLock, stage: Stage) -> None:
        try:
            lock.acquire(blocking=False)
        except Timeout:  # somebody holds it: say so before waiting, perhaps for hours
            log.info("waiting for %s %s computed by %s", stage.name, stage.key, self._owner(stage))
            lock.acquire()

    def _owner(self, stage: Stage) -> str:
        """Return `pid/host` of the process that is computing the stage."""
        owners = [folder.name.split(".", 2)[1:] for folder in self._partial_folders(stage)]
        return "/".join(owners[0]) if owners else "another process"

    def _make_partial_folder(self, stage: Stage) -> Path:
        folder = self.root / ".partial" / f"{stage.key}.{os.getpid()}.{socket.gethostname()}"
        with self._writable():
            self.path(stage).parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(parents=True)
        return folder

    def _partial_folders(self, stage: Stage) -> list[Path]:
        return sorted((self.root / ".partial").glob(f"{stage.key}.*"))

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the stage store {self.root} cannot be written ({error.strerror or error}); "
                "set SPREC_HOME or store.path to a folder that can"
            ) from error


def _file_sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of every file below `folder` except the description."""
    files = (file for file in folder.rglob("*") if file.is_file())
    sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
    sizes.pop(_DESCRIPTION, None)
    return sizes


def _description(stage: Stage, folder: Path, seconds: float) -> str:
    description = {**stage.describe(), "seconds": seconds, "sizes": _file_sizes(folder)}
    return json.dumps(description, indent=2, sort_keys=True) + "\n"
