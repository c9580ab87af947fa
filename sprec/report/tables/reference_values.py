"""Values that others report: from the file beside this one, and from files that readers type in."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sprec.report.tables.table import Cell

THIRD_PARTIES = Path(__file__).with_name("reference.toml")
"""Measured by third parties with the released code. The paper's own values are nobody's to guess."""


@dataclass(frozen=True)
class Reference:
    """One reported row: `scores` are named as in `run.json`, `source` says where a reader finds them.

    `dataset` is the beginning of our dataset's name. `runs` counts what the values are means of.
    """

    dataset: str
    model: str
    base_llm: str
    n: int
    runs: int
    source: str
    scores: Mapping[str, float]

    def is_of(self, dataset: str) -> bool:
        """Say whether a table of this dataset takes the row."""
        return dataset.startswith(self.dataset)

    @property
    def of_paper(self) -> bool:
        """Whether the row stands in the paper itself."""
        return self.source.casefold().startswith("paper")

    def row(self, names: int, keys: Sequence[str]) -> tuple[Cell, ...]:
        """Return the row's cells; `names` columns name it."""
        blank = ("–",) * (names - 2)
        values = (self.scores.get(key) for key in keys)
        return (
            f"{'paper' if self.of_paper else 'reported'}: {self.model}",
            self.base_llm,
            *blank,
            self.runs,
            self.n,
            *values,
        )


def reported(
    given: Sequence[Reference], *, names: int, keys: Sequence[str]
) -> tuple[list[tuple[Cell, ...]], list[str]]:
    """Return the rows of what others report, and a note per source.

    The paper's row stays empty, and a note says so, as long as nobody has typed its values in.
    """
    rows = [each.row(names, keys) for each in given]
    notes = [
        f"Reported by others, another setting than ours and not tested: {source}"
        for source in dict.fromkeys(each.source for each in given)
    ]
    if not any(each.of_paper for each in given):
        rows.append(("paper: SPRec", *("–",) * (names - 1), *(None,) * (len(keys) + 2)))
        notes.append(
            "The paper's own values are not typed in yet: --reference FILE takes them, with their page"
        )
    return rows, notes


def references(path: Path = THIRD_PARTIES) -> tuple[Reference, ...]:
    """Return the rows of a reference file.

    `ValueError`, one line with file and row, for what is no such file.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is no reference file: {getattr(error, 'strerror', None) or error}"
        ) from error
    sources = document.get("sources", {})
    return tuple(
        _reference(row, sources, f"{path}, row {i}") for i, row in enumerate(document.get("rows", []), 1)
    )


def _reference(row: Mapping[str, object], sources: Mapping[str, str], where: str) -> Reference:
    names = {each.name: each.type for each in fields(Reference)}
    if absent := set(names) - set(row) or set(row) - set(names):
        raise ValueError(
            f"{where}: {sorted(absent)[0]!r} is missing or unknown; a row has {', '.join(names)}"
        )
    scores = row["scores"]
    if not isinstance(scores, dict) or not all(isinstance(each, float) for each in scores.values()):
        raise ValueError(f"{where}: scores are no table of decimal numbers such as {{'hr@5' = 0.03}}")
    if not isinstance(row["n"], int) or not isinstance(row["runs"], int):
        raise ValueError(f"{where}: n and runs are whole numbers")
    return Reference(
        dataset=str(row["dataset"]),
        model=str(row["model"]),
        base_llm=str(row["base_llm"]),
        n=row["n"],
        runs=row["runs"],
        source=sources.get(str(row["source"]), str(row["source"])),
        scores=scores,
    )
