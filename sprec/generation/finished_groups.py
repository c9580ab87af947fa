"""Finished groups of a long pass over prompts, kept so that a killed stage goes on where it stood."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sprec.data.digests import fingerprint

FLUSH_SECONDS = 1.0
"""How much work a kill may cost; writing every group at once would cost small groups more than it saves."""


class FinishedGroups:
    """Results of groups by a digest of what they were computed from, in files of one folder.

    The folder must belong to one stage: what the stage's key covers, such as the model, is not in digests.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: dict[str, Any] = {}
        self._unsaved: dict[str, Any] = {}
        self._saved_at = time.monotonic()
        for file in sorted(folder.glob("groups-*.json")):
            # A power failure can leave a file that was renamed before its content reached the disk.
            try:
                self.results |= json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                continue

    def add(self, digest: str, result: Any) -> None:
        """Keep a result; results of at least a second's work are written together, whole or not at all."""
        self._unsaved[digest] = result
        if time.monotonic() - self._saved_at < FLUSH_SECONDS:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".groups-{digest}.partial"
        partial.write_text(json.dumps(self._unsaved), encoding="utf-8")
        partial.replace(self.folder / f"groups-{digest}.json")
        self._unsaved, self._saved_at = {}, time.monotonic()


_current: ContextVar[FinishedGroups | None] = ContextVar("finished_groups", default=None)


@contextmanager
def resume_groups(folder: Path) -> Iterator[None]:
    """Within the block, take groups that are finished from the folder and add those that get finished."""
    token = _current.set(FinishedGroups(folder))
    try:
        yield
    finally:
        _current.reset(token)


def compute_group(compute: Callable[[], Any], **inputs: Any) -> Any:
    """Return the JSON result of a group, computed unless it is finished already.

    `inputs` are all that the result depends on beside the stage; floats come back with every bit.
    """
    groups = _current.get()
    if groups is None:
        return compute()
    digest = fingerprint("group", **inputs)
    if digest not in groups.results:
        groups.results[digest] = compute()
        groups.add(digest, groups.results[digest])
    return groups.results[digest]
