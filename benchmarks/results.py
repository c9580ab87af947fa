"""What a benchmark has measured, row by row, and the file that holds it."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import sprec
from benchmarks.checks import derived
from benchmarks.machine import Machine
from benchmarks.measure import Check, Growth, Outcome
from sprec.records.from_json import decode_json
from sprec.store.atomic_files import write_atomically


@dataclass
class Figures:
    """What one row has measured."""

    contests: list[Outcome] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@dataclass
class Results:
    """Figures by row, and the names of rows that failed or were not reached in time, with the reason."""

    rows: dict[str, Figures] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def contests(self) -> list[Outcome]:
        """The contests of all rows."""
        return list(chain.from_iterable(row.contests for row in self.rows.values()))

    @property
    def growths(self) -> list[Growth]:
        """The growths of all rows."""
        return list(chain.from_iterable(row.growths for row in self.rows.values()))

    @property
    def checks(self) -> list[Check]:
        """The checks of all rows, and those of figures that several rows share."""
        own = chain.from_iterable(row.checks for row in self.rows.values())
        return [*own, *derived(self.contests, self.growths)]

    def add(self, name: str, figures: Figures, order: Sequence[str]) -> None:
        """Set a row's figures; rows stand in this order."""
        self.rows[name] = figures
        self.rows = {each: self.rows[each] for each in order if each in self.rows}


@dataclass(frozen=True)
class Report:
    """A file's contents; `code` is the digest of the package that measured."""

    machine: Machine
    quick: bool
    code: str
    results: Results

    def write(self, file: Path) -> None:
        """Replace the file."""
        write_atomically(file, json.dumps(asdict(self), indent=2) + "\n")

    def continues(self, other: "Report") -> bool:
        """Return whether both are of the same code, machine and sizes."""
        return _same(self) == _same(other)


def _same(report: Report) -> tuple[object, ...]:
    place = report.machine
    return report.code, report.quick, place.processor, place.threads, place.provenance["versions"]


def read(file: Path) -> Report:
    """Return a file's report; raises what a file that is none makes of it."""
    given: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    kinds: dict[str, type[Any]] = {"contests": Outcome, "growths": Growth, "checks": Check}
    rows = {
        name: Figures(**{kind: [decode_json(kinds[kind], each) for each in row[kind]] for kind in kinds})
        for name, row in given["results"]["rows"].items()
    }
    results = Results(rows, list(given["results"]["left_out"]))
    return Report(Machine(**given["machine"]), given["quick"], given["code"], results)


def begun(file: Path, own: Report) -> Report:
    """Return the report to go on with: that of the file where it continues `own`, else `own`.

    What the file left out is to be tried again.
    """
    try:
        found = read(file)
    except (OSError, ValueError, KeyError, TypeError):
        return own
    if not found.continues(own):
        return own
    return Report(found.machine, found.quick, found.code, Results(found.results.rows))


def code() -> str:
    """Return the digest of all modules of the package."""
    folder = Path(sprec.__file__).parent
    return _digest(sorted(folder.rglob("*.py")), folder)


def _digest(files: Iterable[Path], folder: Path) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return whole.hexdigest()
