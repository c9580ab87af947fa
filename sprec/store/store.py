"""Content-addressed stages: what was computed once for these inputs and settings is not computed again."""

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

from sprec.store.atomic_files import sync, sync_tree, write_through
from sprec.store.stage import Stage

__all__ = ["Result", "Stage", "Store", "StoreError"]

log = logging.getLogger(__name__)

Lock: TypeAlias = Literal["flock", "lease"]
"""How processes agree who computes a stage (see `Store`)."""

LEASE_SECONDS = 60.0
_POLL_SECONDS = 0.2
_DESCRIPTION = "stage.json"


class StoreError(RuntimeError):
    """A store that cannot be used; the message is one line and names the folder and the remedy."""


@dataclass(frozen=True)
class Result:
    """A finished stage: where its files are, and the seconds that computing took, now or then."""

    path: Path
    seconds: float
    reused: bool


class Store:
    """Finished stages below `root`, one folder `root/name/key` each.

    A folder there is finished: it appears by one rename, after its files reached the disk, and is
    not written again. Beside the caller's files it holds `stage.json`: name, version, settings,
    inputs, seconds and the size in bytes of every file. A folder that does not agree with its
    `stage.json` (absent, of another key, a file missing or of another size) counts as damaged and
    is computed again. `root/.partial` holds what is being computed, `root/.locks` one lock per key.

    Processes on several hosts can share a root. Under `lock="flock"` the kernel frees the lock of a dead
    process; the file system must pass `flock` on to other hosts (Linux's NFS does since 2.6.12, flock(2);
    Lustre where it is mounted with `flock`). Under `lock="lease"` the lock is a file that its owner touches
    every third of `lease_seconds`, which needs exclusive creation only: an owner who died on this host,
    or whose file stays untouched for so long, is succeeded. An owner who stood still and wakes takes its
    successor's result, or raises `StoreError` where there is none yet. All processes that share a root
    must use the same `lock` and `lease_seconds`.
    """

    def __init__(self, root: Path, lock: Lock = "flock", *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.root, self.lock, self.lease_seconds = root, lock, lease_seconds

    def path(self, stage: Stage) -> Path:
        """Return the folder of the finished stage, whether or not it is there."""
        return self.root / stage.name / stage.key

    def has(self, stage: Stage) -> bool:
        """Say whether the stage is finished and undamaged; reads, never writes."""
        return self._finished(stage) is not None

    def run(self, stage: Stage, work: Callable[[Path], None]) -> Result:
        """Return the finished stage, after calling `work` with an empty folder to fill if there is none.

        The folder is renamed when `work` returns, so files in it must not hold its path. While
        another process computes the same key this one waits and logs whom it waits for. An
        exception in `work` passes and leaves nothing behind; after a kill the next run starts the
        stage afresh. A finished stage is reused from a store that cannot be written. Raises
        `StoreError` where something must be computed and `root` cannot be written.
        """
        if (finished := self._finished(stage)) is not None:
            return finished
        with self._locked(stage):
            return self._finished(stage) or self._compute(stage, work)

    def _finished(self, stage: Stage) -> Result | None:
        folder = self.path(stage)
        try:
            described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            sizes = described.pop("sizes")
            result = Result(folder, float(described.pop("seconds")), reused=True)
            # Files that somebody added later do no harm.
            whole = described == stage.described() and sizes.items() <= _sizes(folder).items()
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
            return None  # absent, or a description that this store did not write
        return result if whole else None

    def _compute(self, stage: Stage, work: Callable[[Path], None]) -> Result:
        """Fill a folder beside the final one and rename it; the lock of the key is held."""
        with self._writable():
            self._clear(stage)
        partial = self._partial_folder(stage)
        try:
            start = time.perf_counter()
            work(partial)
            seconds = time.perf_counter() - start
            write_through(partial / _DESCRIPTION, _description(stage, partial, seconds))
            sync_tree(partial)
            partial.rename(self.path(stage))
        except Exception as error:
            if partial.exists():
                raise
            return self._taken_over(stage, error)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync(self.path(stage).parent)
        return Result(self.path(stage), seconds, reused=False)

    def _taken_over(self, stage: Stage, error: Exception) -> Result:
        """Return what the process published that took over the lease and cleared this one's folder away."""
        if (theirs := self._finished(stage)) is not None:
            return theirs
        raise StoreError(
            f"{stage.name} {stage.key}: this process stood still for over {self.lease_seconds:g} s and "
            "another one computes the stage; run the command again to use its result"
        ) from error

    def _clear(self, stage: Stage) -> None:
        """Remove what dead processes left of this key, and a damaged final folder."""
        for left_over in self._partial_folders(stage):
            shutil.rmtree(left_over, ignore_errors=True)
        if self.path(stage).exists():
            log.warning("%s does not agree with its %s: computing it again", self.path(stage), _DESCRIPTION)
            shutil.rmtree(self.path(stage))

    @contextmanager
    def _locked(self, stage: Stage) -> Iterator[None]:
        with self._writable():
            (self.root / ".locks").mkdir(parents=True, exist_ok=True)
            lock = self._lock(stage)
            self._acquire(lock, stage)
        try:
            yield
        finally:
            lock.release()

    def _lock(self, stage: Stage) -> BaseFileLock:
        place = self.root / ".locks" / f"{stage.key}.{'lease' if self.lock == 'lease' else 'lock'}"
        if self.lock == "lease":
            return SoftFileLease(place, lease_duration=self.lease_seconds, poll_interval=_POLL_SECONDS)
        return FileLock(place, poll_interval=_POLL_SECONDS)

    def _acquire(self, lock: BaseFileLock, stage: Stage) -> None:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.info("waiting for %s %s computed by %s", stage.name, stage.key, self._owner(stage))
            lock.acquire()

    def _owner(self, stage: Stage) -> str:
        """Return `pid/host` of the process that computes the stage."""
        owners = [folder.name.split(".", 2)[1:] for folder in self._partial_folders(stage)]
        return "/".join(owners[0]) if owners else "another process"

    def _partial_folder(self, stage: Stage) -> Path:
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


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of every file below `folder` but the description."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
    return {name: size for name, size in sizes.items() if name != _DESCRIPTION}


def _description(stage: Stage, folder: Path, seconds: float) -> str:
    described = {**stage.described(), "seconds": seconds, "sizes": _sizes(folder)}
    return json.dumps(described, indent=2, sort_keys=True) + "\n"
