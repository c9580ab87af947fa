"""What a run was computed with: the commit and the versions of the packages that matter."""

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

PACKAGES = ("sprec", "torch", "transformers", "peft", "lightning", "polars", "wandb", "hydra-core")
"""Distributions whose versions a record names."""

_PACKAGE_FOLDER = Path(__file__).parent.parent
_GIT_SECONDS = 10.0


class Provenance(TypedDict):
    """The fields of a `RunRecord` that `provenance` fills."""

    commit: str | None
    dirty: bool
    versions: dict[str, str]


def provenance() -> Provenance:
    """Return commit, dirty flag and package versions, ready for `RunRecord(**provenance(), …)`.

    `commit` is None outside a checkout of sprec (a wheel, no git); `dirty` is then False. Files
    that git neither tracks nor ignores count as dirty: a new dataset or method is such a file.
    """
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "__init__.py") else None
    dirty = commit is not None and bool(_git("status", "--porcelain", "--", ":/"))
    return Provenance(commit=commit, dirty=dirty, versions=versions())


def versions() -> dict[str, str]:
    """Return the version of each of `PACKAGES` that is installed, without importing any."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    """Return what git says in the package's folder, or None where it cannot answer."""
    # A git hook exports GIT_DIR, which would win over the folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", "-C", str(_PACKAGE_FOLDER), *arguments],
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_SECONDS,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
