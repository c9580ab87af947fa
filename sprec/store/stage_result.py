"""What the store gives back of a stage: where it is, and who computed it with what."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sprec.store.stage_files import Description


@dataclass(frozen=True)
class StageResult:
    """A finished stage: its folder and key, and the seconds it took to compute, now or in an earlier run.

    `code` and `versions` are the digest of the code and the libraries that computed it, `made` says who did.
    `other_code` is true where they are not those of now, which only a store that accepts any code returns.
    """

    path: Path
    key: str
    seconds: float
    reused: bool
    code: str
    versions: Mapping[str, str]
    made: Mapping[str, Any]
    other_code: bool = False


def reused_result(folder: Path, description: Description, *, other_code: bool) -> StageResult:
    """Return the result of a stage that is stored in this folder."""
    stage = description.stage
    return StageResult(
        # Where other code made it, its key is not the one that was asked for.
        *(folder, folder.name, description.seconds),
        reused=True,
        code=stage["code"],
        versions=stage["versions"],
        made=description.made,
        other_code=other_code,
    )
