"""Whether the installed libraries are versions that this release of sprec was tested with."""

import logging
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

log = logging.getLogger(__name__)

NUMERIC_PACKAGES = ("torch", "transformers", "peft", "lightning")
"""Distributions whose versions decide whether a run works, and what numbers it gives."""


def untested_versions(requirements: Iterable[str]) -> list[Requirement]:
    """Return those of the requirements that an installed package of `NUMERIC_PACKAGES` does not meet."""
    unmet = []
    for requirement in map(Requirement, requirements):
        if requirement.name in NUMERIC_PACKAGES and not _is_met(requirement):
            unmet.append(requirement)
    return unmet


def _is_met(requirement: Requirement) -> bool:
    # A local build ("2.13.0+cpu") counts as its release.
    installed = version(requirement.name)
    return requirement.specifier.contains(installed, prereleases=True)


def warn_of_untested_versions() -> None:
    """Log one warning that names all packages outside the tested range and the command that mends it.

    pip keeps to the range by itself; a version outside it was forced or upgraded afterwards.
    """
    try:
        unmet = untested_versions(requires("sprec") or ())
    except PackageNotFoundError:
        return  # a checkout that is not installed declares no range
    if unmet:
        names = ", ".join(f"{package.name} {version(package.name)}" for package in unmet)
        ranges = " ".join(f"'{package.name}{package.specifier}'" for package in unmet)
        log.warning(
            "untested with this version of sprec: %s; to install tested ones: pip install %s", names, ranges
        )
