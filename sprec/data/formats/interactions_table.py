"""Interactions of any format: raw ids become numbers, raw times seconds, and drops are counted."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from sprec.data.formats.delimited import END_SECONDS, START_SECONDS
from sprec.data.formats.item_table import REASONS, Listed
from sprec.data.formats.json_lines import NUMBER, TEXT
from sprec.data.interactions import COLUMNS, Interactions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clock:
    """How a raw file writes times: the type, the way to seconds, and what people call it."""

    kind: pl.DataType
    seconds: Callable[[pl.Expr], pl.Expr]
    said: str


def ticks(per_second: int) -> Clock:
    """Return the clock of numbers since 1970, 1 or 1000 per second."""
    unit = {1: "seconds", 1000: "milliseconds"}[per_second]
    return Clock(NUMBER, lambda time: (time / per_second).floor().cast(pl.Int64), f"{unit} since 1970")


def written(layout: str, example: str) -> Clock:
    """Return the clock of dates as text, in strftime's notation; without a zone they are UTC."""

    def seconds(time: pl.Expr) -> pl.Expr:
        """Return seconds since 1970."""
        return time.str.strptime(pl.Datetime, layout, strict=False).dt.epoch("s")

    return Clock(TEXT, seconds, f"a date like {example!r}")


@dataclass(frozen=True)
class Fields:
    """The raw file's names of what an interaction needs; `rating` is None where it has none."""

    user: str
    item: str
    time: str
    rating: str | None
    clock: Clock

    def kinds(self) -> dict[str, pl.DataType]:
        """Return the type of each field by its name."""
        kinds = {self.user: TEXT, self.item: TEXT, self.time: self.clock.kind}
        return kinds | ({self.rating: NUMBER} if self.rating else {})


@dataclass
class EventReader:
    """Turns frames of raw fields and `line` into interactions, one frame at a time.

    Users are numbered in order of appearance. Interactions with items that the table lacks or
    leaves out, and those rated below `min_rating`, are dropped and counted by reason.
    """

    path: Path
    fields: Fields
    items: Listed[str]
    min_rating: float = 0.0
    users: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def read(self, batches: Iterable[pl.DataFrame]) -> Interactions:
        """Return all interactions in the order of the file; raises `ValueError` naming a bad line.

        Without a rating field the column `rating` is null.
        """
        if self.min_rating and self.fields.rating is None:
            raise ValueError(f"min_rating = {self.min_rating}, but {self.path.name} has no ratings; use 0")
        kept = [self._kept(batch) for batch in batches]
        if not kept:
            raise ValueError(f"{self.path} has no rows; fetch the file anew")
        counts = {reason: self.counts[reason] for reason in (*REASONS, "below_min_rating")}
        drops = {**self.items.drops, **counts}
        return Interactions(pl.concat(kept), self.items.catalog, drops, str(self.path), str(self.items.path))

    def _kept(self, batch: pl.DataFrame) -> pl.DataFrame:
        coded = self._named(batch).with_columns(pl.col("item").map_batches(self._items, pl.Int64))
        self._require_times(coded)
        self._count_unlisted(coded)
        listed = coded.filter(pl.col("item") >= 0)
        high = listed.filter(pl.col("rating") >= self.min_rating) if self.min_rating else listed
        self.counts["below_min_rating"] += listed.height - high.height
        numbered = high.with_columns(pl.col("user").map_batches(self._users, pl.Int64))
        return numbered.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())

    def _named(self, batch: pl.DataFrame) -> pl.DataFrame:
        names = self.fields
        rating = pl.col(names.rating) if names.rating else pl.lit(None)
        return batch.select(
            "line",
            pl.col(names.user).alias("user"),
            pl.col(names.item).alias("item"),
            pl.col(names.time).alias("raw_time"),
            names.clock.seconds(pl.col(names.time)).alias("time"),
            rating.cast(pl.Float64).alias("rating"),
        )

    def _items(self, names: pl.Series) -> pl.Series:
        return _coded(names, self.items.code)

    def _users(self, names: pl.Series) -> pl.Series:
        return _coded(names, lambda name: self.users.setdefault(name, len(self.users)))

    def _require_times(self, timed: pl.DataFrame) -> None:
        fits = timed["time"].is_between(START_SECONDS, END_SECONDS, closed="left")
        faulty = (~fits.fill_null(value=False)).arg_true()
        if len(faulty):
            row = timed.row(faulty[0], named=True)
            fault = f"field {self.fields.time!r} is {row['raw_time']!r}, expected {self.fields.clock.said}"
            raise ValueError(f"{self.path}:{row['line']}: {fault}; correct this line or name the other unit")

    def _count_unlisted(self, coded: pl.DataFrame) -> None:
        found = dict(coded.filter(pl.col("item") < 0).group_by("item").len().iter_rows())
        counts = {REASONS[-1 - code]: count for code, count in found.items()}
        if "unlisted" in counts and not self.counts["unlisted"]:
            row = coded.filter(pl.col("item") == -1).row(0, named=True)
            fault = f"field {self.fields.item!r} is an item that {self.items.path.name} does not list"
            log.warning("%s:%d: %s (first one left out)", self.path, row["line"], fault)
        self.counts.update(counts)


def _coded(names: pl.Series, code: Callable[[str], int]) -> pl.Series:
    """Return the code of each name, asking once per distinct name, in order of appearance."""
    distinct = names.unique(maintain_order=True)
    return names.replace_strict(distinct, [code(name) for name in distinct], return_dtype=pl.Int64).cast(
        pl.Int64
    )
