"""The figures of a benchmark, row by row, and the file that holds them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import benchmarks
import sprec
from benchmarks.checks import checks_across_rows
from benchmarks.machine import Machine
from benchmarks.measure import Check, Growth, Outcome
from sprec.records.from_json import decode_json
from sprec.store.atomic_files import write_atomically


@dataclass
class Figures:
    """The figures of one row."""

    contests: list[Outcome] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@dataclass
class Results:
    """Figures by row, and the rows that failed or were not reached in time, with the reason."""

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
        """The checks of all rows, and those on contests and growths."""
        own = chain.from_iterable(row.checks for row in self.rows.values())
        return [*own, *checks_across_rows(self.contests, self.growths)]

    def add(self, name: str, figures: Figures, order: Sequence[str]) -> None:
        """Set a row's figures and sort the rows by `order`."""
        self.rows[name] = figures
        self.rows = {row: self.rows[row] for row in order if row in self.rows}


@dataclass(frozen=True)
class Report:
    """A file's contents; `code` is the digest of the code that measured it."""

    machine: Machine
    quick: bool
    code: str
    results: Results

    def write(self, file: Path) -> None:
        """Write the report to a file, replacing it as a whole."""
        write_atomically(file, json.dumps(asdict(self), indent=2) + "\n")

    def continues(self, other: "Report") -> bool:
        """Return whether both come from the same code, machine and sizes."""
        return _identity(self) == _identity(other)


def _identity(report: Report) -> tuple[object, ...]:
    machine = report.machine
    return report.code, report.quick, machine.processor, machine.threads, machine.provenance["versions"]


def read_report(file: Path) -> Report:
    """Return a file's report; raises OSError, ValueError, KeyError or TypeError where there is none."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    kinds: dict[str, type[Any]] = {"contests": Outcome, "growths": Growth, "checks": Check}
    rows = {
        name: Figures(**{kind: [decode_json(kinds[kind], fields) for fields in row[kind]] for kind in kinds})
        for name, row in content["results"]["rows"].items()
    }
    results = Results(rows, list(content["results"]["left_out"]))
    return Report(Machine(**content["machine"]), content["quick"], content["code"], results)


def resume_report(file: Path, own: Report) -> Report:
    """Return the file's report where it comes from the same code and machine as `own`, else `own`.

    Rows that the file left out are tried again.
    """
    try:
        stored = read_report(file)
    except (OSError, ValueError, KeyError, TypeError):
        return own
    if not stored.continues(own):
        return own
    return replace(stored, results=Results(stored.results.rows))


def code_digest() -> str:
    """Return the digest of all modules of `sprec` and `benchmarks`: what is measured and what measures."""
    digest = hashlib.sha256()
    for package in (sprec, benchmarks):
        folder = Path(str(package.__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            name = f"{package.__name__}/{file.relative_to(folder)}"
            # Name and size go in first, so that bytes cannot move from one file to the next unnoticed.
            digest.update(f"{name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()
