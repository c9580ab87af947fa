"""The stage store: what was computed once from the same settings, inputs and code is not computed again."""

import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from filelock import BaseFileLock, Timeout

from sprec.store.atomic_files import sync_path, sync_tree
from sprec.store.errors import StoreError, explain_store_errors
from sprec.store.key_locks import LEASE_SECONDS, LockKind, key_lock, remove_unlocked
from sprec.store.stage import JSON, KEY, RECIPE_DIGITS, STAGE_NAME, Stage
from sprec.store.stage_files import (
    DESCRIPTION,
    Description,
    find_damage,
    follow_umask,
    read_description,
    write_description,
)
from sprec.store.stage_result import StageResult, reused_result

__all__ = ["Stage", "StageResult", "Store", "StoreError"]

log = logging.getLogger(__name__)

Accept: TypeAlias = Literal["same_code", "any_code"]
"""Which stored stages are reused: those of the same code and library versions, or those of any."""

_PARTIAL, _LOCKS, _CHECKPOINTS = ".partial", ".locks", ".checkpoints"


class Store:
    """Finished stages below `root`, each in a folder `root/name/key`.

    Such a folder is complete: it appears by a single rename after its files have reached the disk, and is
    never written again. Beside the stage's own files it holds `stage.json`: what the key is made of, seconds,
    who made it, and the size and SHA-256 of every file. If the folder and its `stage.json` disagree (another
    key, a file missing or changed), the stage is damaged and computed again; contents are compared when a
    process first reads the stage. `root/.partial` holds stages in progress, `root/.checkpoints` what they
    would go on from after a kill, and `root/.locks` one lock per key.

    Processes on several hosts can share a root. With `lock="flock"` the kernel releases the lock of a dead
    process; the file system must pass `flock` on to other hosts (NFS on Linux does since 2.6.12, flock(2);
    Lustre if mounted with `flock`). With `lock="lease"` the lock is a file that its owner touches every third
    of `lease_seconds`, which works wherever files can be created exclusively: another process takes over once
    the owner has died on this host, or its file has not been touched for that long. An owner that was
    suspended and wakes up takes its successor's result, or raises `StoreError` if there is none yet. All
    processes that share a root must use the same `lock` and `lease_seconds`.

    Args:
        root: The folder; it is created when the first stage is computed.
        lock: How processes agree on who computes a stage.
        accept: Whether stages that other code made are reused too.
        describe_maker: Returns what `stage.json` says about who makes a stage now.
        prepare: Called before a stage is computed; what it takes is not part of the stage's seconds.
        lease_seconds: How long an untouched lease is respected.
    """

    def __init__(
        self,
        root: Path,
        lock: LockKind = "flock",
        *,
        accept: Accept = "same_code",
        describe_maker: Callable[[], Mapping[str, JSON]] = dict,
        prepare: Callable[[], None] = lambda: None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.root, self.lock, self.lease_seconds = root, lock, lease_seconds
        self.accept, self.describe_maker, self.prepare = accept, describe_maker, prepare
        self._verified: set[Path] = set()
        self._cleaned = False
        self._read_only = False

    def as_read_only(self) -> "Store":
        """Return the same store for one who must not write to it: what is not stored there is an error."""
        store = Store(self.root, self.lock, accept=self.accept, lease_seconds=self.lease_seconds)
        store._read_only = True
        return store

    def path(self, stage: Stage) -> Path:
        """Return the folder of the finished stage, which need not exist yet."""
        return self.root / stage.name / stage.key

    def find(self, stage: Stage) -> StageResult | None:
        """Return the stage if it is stored; compares no contents of files and writes nothing."""
        with explain_store_errors(self.root, "read"):
            return self._load_finished(stage, contents=False)

    def checkpoint_folder(self, stage: Stage) -> Path:
        """Return the folder where `work` may keep what a killed stage goes on from; it need not exist yet.

        It outlives kills, interrupts and errors, is found again by the next attempt at the same key, and is
        removed once the stage is finished. Files must be written whole (`atomic_files.atomic_path`).
        """
        return self.root / _CHECKPOINTS / f"{stage.name}.{stage.key}"

    def open(self, name: str, key: str) -> Path:
        """Return the folder of a stored stage by its key, as records name it.

        Raises `StoreError` if it is not stored, or damaged.
        """
        folder = self.root / name / key
        # Both may come from a stranger's record: `..` must not lead out of the store.
        if not (STAGE_NAME.fullmatch(name) and KEY.fullmatch(key)):
            raise StoreError(f"no stage is called {name[:40]!r} with the key {key[:40]!r}")
        with explain_store_errors(self.root, "read"):
            description = read_description(folder)
            if description is None:
                raise StoreError(f"the stage {name} is not stored at {folder}")
            if damage := self._find_damage(folder, description, contents=True):
                raise StoreError(f"the stage {name} at {folder} is damaged: {damage}")
        return folder

    def run(self, stage: Stage, work: Callable[[Path], None]) -> StageResult:
        """Return the finished stage, calling `work` to fill an empty folder if the stage is not stored.

        The folder is renamed after `work` returns, so its files must not contain its path. While another
        process computes the same key, this one waits and logs whom it is waiting for. If `work` raises or is
        killed, nothing is left behind but its checkpoints. A read-only store serves finished stages. Raises
        `StoreError` if the disk fails, is full or may not be written, be it in `work` or here.
        """
        with explain_store_errors(self.root, "read"):
            if (finished := self._load_finished(stage)) is not None:
                return finished  # without the lock, which a read-only store could not create
        if self._read_only:
            raise StoreError(f"the stage {stage.name} {stage.key} is not stored in {self.root}; run again")
        with explain_store_errors(self.root, "written"), self._locked(stage):
            # Another process may have finished it while this one waited for the lock.
            return self._load_finished(stage) or self._compute(stage, work)

    def _load_finished(self, stage: Stage, *, contents: bool = True) -> StageResult | None:
        any_code = self.accept == "any_code"
        for folder in [self.path(stage), *(self._made_by_other_code(stage) if any_code else [])]:
            description = read_description(folder)
            if description is None or not description.describes(stage, any_code=any_code):
                continue
            # No warning here: whoever computes it again says so, once, and removes the folder under the lock.
            if self._find_damage(folder, description, contents=contents):
                continue
            if contents and not self._read_only:  # the time of last use, for those who prune
                # Another user's stage cannot be touched, and is as good all the same.
                with suppress(OSError):
                    os.utime(folder / DESCRIPTION)
            return reused_result(folder, description, other_code=folder.name != stage.key)
        return None

    def _made_by_other_code(self, stage: Stage) -> list[Path]:
        """Return the folders of the same settings and inputs, the latest made first."""
        folders = self.path(stage).parent.glob(f"{stage.key[:RECIPE_DIGITS]}*")
        return sorted(folders, key=lambda folder: folder.stat().st_ctime, reverse=True)

    def _find_damage(self, folder: Path, description: Description, *, contents: bool) -> str:
        """Return what is wrong with a stage's files; contents are read once in a process."""
        damage = find_damage(folder, description, contents=contents and folder not in self._verified)
        if contents and not damage:
            self._verified.add(folder)
        return damage

    def _compute(self, stage: Stage, work: Callable[[Path], None]) -> StageResult:
        """Fill a partial folder and rename it to the final one; the caller holds the lock of the key."""
        self.prepare()
        # First, since a rename onto a damaged folder would fail, and that after all the work.
        self._remove_leftovers(stage)
        partial = self._make_partial_folder(stage)
        made = {**self.describe_maker(), "time": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            start = time.perf_counter()
            work(partial)
            seconds = time.perf_counter() - start
            write_description(partial, stage, seconds, made)
            follow_umask(partial)
            # Before the rename: after a power failure a final name must not stand for half-written files.
            sync_tree(partial)
            partial.rename(self.path(stage))
        except Exception as error:
            if partial.exists():
                raise
            # Only a successor removes the folder: this process lost its lease while it was suspended.
            return self._take_successors_result(stage, error)
        finally:
            # The name has this process's id, so a successor's folder is never meant.
            shutil.rmtree(partial, ignore_errors=True)
        # Only when the new name is on disk too are the checkpoints of no more use.
        sync_path(self.path(stage).parent)
        shutil.rmtree(self.checkpoint_folder(stage), ignore_errors=True)
        self._verified.add(self.path(stage))
        folder, code, versions = self.path(stage), stage.code, stage.versions
        return StageResult(folder, stage.key, seconds, reused=False, code=code, versions=versions, made=made)

    def _take_successors_result(self, stage: Stage, error: Exception) -> StageResult:
        """Return the result of the process that took over this one's lease."""
        if (theirs := self._load_finished(stage)) is not None:
            return theirs
        raise StoreError(
            f"{stage.name} {stage.key}: this process was suspended for over {self.lease_seconds:g} s and "
            "another one is computing the stage; run the command again to use its result"
        ) from error

    def _remove_leftovers(self, stage: Stage) -> None:
        """Remove what dead processes left of any stage, and a damaged folder of this one."""
        # Whoever holds the lock is the only live process with this key.
        for leftover in self._partial_folders(stage):
            shutil.rmtree(leftover, ignore_errors=True)
        # A checkpoint is renamed when it is whole; what a kill interrupted has another name.
        for leftover in self.checkpoint_folder(stage).glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        if not self._cleaned:
            self._cleaned = True
            # Once per store object: each look costs a lock for every folder.
            self.remove_dead_partials()
        if (folder := self.path(stage)).exists():
            log.warning("%s is damaged (%s): computing it again", folder, self._describe_damage(stage))
            shutil.rmtree(folder)

    def _describe_damage(self, stage: Stage) -> str:
        folder = self.path(stage)
        if (description := read_description(folder)) is None:
            return f"it has no readable {DESCRIPTION}"
        if not description.describes(stage):
            return f"its {DESCRIPTION} describes another stage"
        return self._find_damage(folder, description, contents=True)

    def remove_dead_partials(self, *, any_lock: bool = False) -> list[Path]:
        """Remove the partial folders of all keys that nobody is computing, and return them.

        `any_lock` is for those who do not know which kind of lock the others use: neither may be held.
        """
        kinds: tuple[LockKind, ...] = get_args(LockKind) if any_lock else (self.lock,)
        keys = {folder: folder.name.partition(".")[0] for folder in sorted((self.root / _PARTIAL).glob("*"))}
        return [folder for folder, key in keys.items() if remove_unlocked(folder, self._locks(key, *kinds))]

    def checkpoint_folders(self) -> list[Path]:
        """Return what stages go on from that are not finished, killed or running."""
        return sorted((self.root / _CHECKPOINTS).glob("*"))

    def remove_checkpoints(self, folder: Path, *, dry_run: bool = False) -> bool:
        """Remove one of these folders unless its stage is being computed; return whether it was removed.

        With `dry_run` nothing is removed, and the answer is whether it would be.
        """
        locks = self._locks(folder.name.rpartition(".")[2], *get_args(LockKind))
        return remove_unlocked(folder, locks, dry_run=dry_run)

    @contextmanager
    def _locked(self, stage: Stage) -> Iterator[None]:
        (self.root / _LOCKS).mkdir(parents=True, exist_ok=True)
        (lock,) = self._locks(stage.key, self.lock)
        self._acquire(lock, stage)
        try:
            yield
        finally:
            lock.release()

    def _locks(self, key: str, *kinds: LockKind) -> list[BaseFileLock]:
        return [key_lock(self.root / _LOCKS, key, kind, self.lease_seconds) for kind in kinds]

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
        # Process and host are for those who wait: the kernel does not say who holds a lock.
        folder = self.root / _PARTIAL / f"{stage.key}.{os.getpid()}.{socket.gethostname()}"
        self.path(stage).parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True)
        return folder

    def _partial_folders(self, stage: Stage) -> list[Path]:
        return sorted((self.root / _PARTIAL).glob(f"{stage.key}.*"))
