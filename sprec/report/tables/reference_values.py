"""What others report: third parties, from the file beside this one, and files that readers type in."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sprec.report.tables.table import Cell

# Measured by third parties with the released code. The paper's own values are nobody's to guess.
THIRD_PARTIES = Path(__file__).with_name("reference.toml")


@dataclass(frozen=True)
class ReportedRow:
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
        """Return whether a table of this dataset takes the row."""
        return dataset.startswith(self.dataset)

    @property
    def of_paper(self) -> bool:
        """Whether the row stands in the paper itself."""
        return self.source.casefold().startswith("paper")

    def cells(self, names: int, keys: Sequence[str]) -> tuple[Cell, ...]:
        """Return the row's cells; `names` columns name it."""
        blank = ("–",) * (names - 2)
        values = (self.scores.get(key) for key in keys)
        name = f"{'paper' if self.of_paper else 'reported'}: {self.model}"
        return (name, self.base_llm, *blank, self.runs, self.n, *values)


def reported_rows(
    rows: Sequence[ReportedRow], *, names: int, keys: Sequence[str]
) -> tuple[list[tuple[Cell, ...]], list[str]]:
    """Return the cells of what others report, and a note per source.

    The paper's row stays empty, and a note says so, as long as nobody has typed its values in.
    """
    cells = [row.cells(names, keys) for row in rows]
    notes = [
        f"Reported by others, another setting than ours and not tested: {source}"
        for source in dict.fromkeys(row.source for row in rows)
    ]
    if not any(row.of_paper for row in rows):
        cells.append(("paper: SPRec", *("–",) * (names - 1), *(None,) * (len(keys) + 2)))
        notes.append(
            "The paper's own values are not typed in yet: --reference FILE takes them, with their page"
        )
    return cells, notes


def load_reported(path: Path = THIRD_PARTIES) -> tuple[ReportedRow, ...]:
    """Return the rows of a reference file; `ValueError`, with file and row, for what is no such file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} is no reference file: {reason}") from error
    sources = document.get("sources", {})
    return tuple(
        _parse_row(row, sources, f"{path}, row {number}")
        for number, row in enumerate(document.get("rows", []), start=1)
    )


def _parse_row(row: Mapping[str, object], sources: Mapping[str, str], place: str) -> ReportedRow:
    names = [field.name for field in fields(ReportedRow)]
    if wrong := sorted(set(names) ^ set(row)):
        raise ValueError(f"{place}: {wrong[0]!r} is missing or unknown; a row has {', '.join(names)}")
    scores = row["scores"]
    if not isinstance(scores, dict) or not all(isinstance(score, float) for score in scores.values()):
        raise ValueError(f"{place}: scores are no table of decimal numbers such as {{'hr@5' = 0.03}}")
    # TOML knows types; a quoted number here would be printed as text and sorted as such.
    if not isinstance(row["n"], int) or not isinstance(row["runs"], int):
        raise ValueError(f"{place}: n and runs are whole numbers")
    return ReportedRow(
        dataset=str(row["dataset"]),
        model=str(row["model"]),
        base_llm=str(row["base_llm"]),
        n=row["n"],
        runs=row["runs"],
        source=sources.get(str(row["source"]), str(row["source"])),
        scores=scores,
    )
