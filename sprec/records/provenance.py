"""What code a run was computed with: the commit, and the versions of the packages that matter."""

import getpass
import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

PACKAGES = (
    *("sprec", "torch", "transformers", "peft", "tokenizers", "numpy"),
    *("lightning", "polars", "wandb", "hydra-core"),
)
"""Distributions whose versions are recorded."""

_PACKAGE_FOLDER = Path(__file__).parent.parent
_GIT_SECONDS = 10.0


class Provenance(TypedDict):
    """The fields of a `RunRecord` that `read_provenance` fills in."""

    commit: str | None
    dirty: bool
    versions: dict[str, str]


def read_provenance() -> Provenance:
    """Return commit, dirty flag and package versions, ready for `RunRecord(**read_provenance(), …)`.

    Outside a checkout of sprec (installed from a wheel, or no git) `commit` is None and `dirty` False.
    """
    # `ls-files` also rules out a wheel installed inside somebody else's repository.
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "__init__.py") else None
    # Untracked files count as dirty: a new dataset or method is one.
    dirty = commit is not None and bool(_git("status", "--porcelain", "--", ":/"))
    return Provenance(commit=commit, dirty=dirty, versions=package_versions())


process_provenance = cache(read_provenance)
"""Returns what `read_provenance` returned when this process first asked.

Code that is edited, committed or checked out after the process has started is not what runs.
"""


def describe_maker() -> Mapping[str, Any]:
    """Return what `stage.json` says about this process: commit, dirty flag, versions, user and host."""
    return {**process_provenance(), "user": _user(), "host": platform.node()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return str(os.getuid())


def package_versions() -> dict[str, str]:
    """Return the installed version of each of `PACKAGES`, without importing any."""
    installed = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def _git(*arguments: str) -> str | None:
    """Return the output of git in the package's folder, or None if it fails."""
    # A git hook exports GIT_DIR, which would take precedence over the folder.
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
