"""One lock per key of a stage: who holds it is the only live process that computes it."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import BaseFileLock, FileLock, LeaseSettingsMismatch, SoftFileLease, Timeout

LockKind: TypeAlias = Literal["flock", "lease"]
"""How processes agree on who computes a stage (see `Store`)."""

# Its owner touches a lease every 20 s: two touches may fail before another process takes over.
LEASE_SECONDS = 60.0
_POLL_SECONDS = 0.2


def key_lock(folder: Path, key: str, kind: LockKind, lease_seconds: float) -> BaseFileLock:
    """Return the key's lock in the folder of locks, not yet taken."""
    # flock leaves its file behind, which would look like a held lease if both had one name.
    path = folder / f"{key}.{'lease' if kind == 'lease' else 'lock'}"
    if kind == "lease":
        return SoftFileLease(path, lease_duration=lease_seconds, poll_interval=_POLL_SECONDS)
    return FileLock(path, poll_interval=_POLL_SECONDS)


def remove_unlocked(folder: Path, locks: Sequence[BaseFileLock], *, dry_run: bool = False) -> bool:
    """Remove a folder unless one of its key's locks is held; return whether it was (or would be) removed."""
    # Whoever holds a lease of another length than this one's holds it all the same.
    with suppress(Timeout, LeaseSettingsMismatch), ExitStack() as stack:
        # Process ids say little across hosts and containers; the lock of the key says it all.
        for lock in locks:
            stack.enter_context(lock.acquire(blocking=False))
        if not dry_run:
            shutil.rmtree(folder, ignore_errors=True)
        return dry_run or not folder.exists()
    return False
