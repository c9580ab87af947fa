"""One example: what a user consumed, and what came next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import polars as pl

EXAMPLE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "user": pl.Int64,
    "time": pl.Float64,
    "history": pl.List(pl.Int32),
    "target": pl.Int32,
}


@dataclass(frozen=True)
class Example:
    """The ids of a user's last items, oldest first, and the id of the next one."""

    history: tuple[int, ...]
    target: int


class Examples(Sequence[Example]):
    """Rows of a split, held as a polars frame with the columns of `EXAMPLE_SCHEMA`.

    `user` and `time` may be null (released rows have neither). Indexing gives `Example`s.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame.select(pl.col(name).cast(kind) for name, kind in EXAMPLE_SCHEMA.items())

    @classmethod
    def from_rows(cls, rows: Sequence[Example]) -> "Examples":
        """Return the split that holds these examples, without users and times."""
        columns = {
            "user": [None] * len(rows),
            "time": [None] * len(rows),
            "history": [list(row.history) for row in rows],
            "target": [row.target for row in rows],
        }
        return cls(pl.DataFrame(columns, schema=EXAMPLE_SCHEMA))

    def __len__(self) -> int:
        return self.frame.height

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Examples": ...
    def __getitem__(self, index: int | slice) -> "Example | Examples":
        """Return one example, or a split of some rows."""
        if isinstance(index, slice):
            return Examples(self.frame[index])
        history, target = self.frame.select("history", "target").row(index)
        return Example(tuple(history), target)

    def __iter__(self) -> Iterator[Example]:
        for history, target in self.frame.select("history", "target").iter_rows():
            yield Example(tuple(history), target)

    def take(self, rows: Sequence[int]) -> "Examples":
        """Return the split of these row numbers, in this order."""
        return Examples(self.frame[list(rows)])


@dataclass(frozen=True)
class Wording:
    """How prompts speak of a dataset: `instruction`, then `lead` before and `close` after the history."""

    instruction: str
    lead: str
    close: str = ""


@dataclass(frozen=True)
class Split:
    """Training, validation and test rows of one dataset, and what was dropped on the way."""

    train: Examples
    valid: Examples
    test: Examples
    drops: Mapping[str, int] = field(default_factory=dict)
