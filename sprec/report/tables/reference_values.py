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

    `dataset` is our dataset's name, or its beginning for a whole family such as "movielens". `runs` counts
    what the values are means of.
    """

    dataset: str
    model: str
    base_llm: str
    n: int
    runs: int
    source: str
    scores: Mapping[str, float]

    def is_of(self, dataset: str) -> bool:
        """Return whether a table of this dataset may take the row; `rows_of_dataset` chooses among them."""
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


def rows_of_dataset(rows: Sequence[ReportedRow], dataset: str) -> list[ReportedRow]:
    """Return the rows that count for a dataset: those of each model that say most of the dataset's name.

    A row of `movielens` counts for `movielens_1m` too, unless the model has a row of `movielens_1m`.
    """
    candidates = [row for row in rows if row.is_of(dataset)]
    # Whatever the source: two datasets of one paper may stand on two of its pages.
    lengths: dict[tuple[str, str], int] = {}
    for row in candidates:
        model = row.model, row.base_llm
        lengths[model] = max(lengths.get(model, 0), len(row.dataset))
    return [row for row in candidates if len(row.dataset) == lengths[row.model, row.base_llm]]


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
    rows: dict[tuple[str, ...], ReportedRow] = {}
    for number, entry in enumerate(document.get("rows", []), start=1):
        place = f"{path}, row {number}"
        row = _parse_row(entry, sources, place)
        if rows.setdefault((row.dataset, row.model, row.base_llm, row.source), row) is not row:
            raise ValueError(
                f"{place}: {row.model!r} on {row.dataset} has a row of this source already; give one of them "
                f"a name of its own, such as '{row.model}, N = {row.n}'"
            )
    return tuple(rows.values())


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
