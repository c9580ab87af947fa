"""Interactions of any format: raw ids become numbers, raw times become seconds, and drops are counted."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from sprec.data.formats.delimited import END_SECONDS, START_SECONDS
from sprec.data.formats.item_table import CODES, REASONS, ItemTable
from sprec.data.formats.json_lines import NUMBER, TEXT
from sprec.data.interactions import INTERACTION_SCHEMA, Interactions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TimeFormat:
    """How a raw file writes times: the field's type, the way to seconds, and a description for errors."""

    dtype: pl.DataType
    to_seconds: Callable[[pl.Expr], pl.Expr]
    description: str


def epoch_time(per_second: int) -> TimeFormat:
    """Return the format of times that are numbers since 1970, so many per second."""
    unit = {1: "seconds", 1000: "milliseconds", 1_000_000: "microseconds"}[per_second]
    return TimeFormat(NUMBER, lambda time: time / per_second, f"{unit} since 1970")


def text_time(*layouts: str, example: str) -> TimeFormat:
    """Return the format of times that are text, in strftime's notation; without a zone they are UTC.

    Each text is read by the first of `layouts` that fits it.
    """

    def to_seconds(time: pl.Expr) -> pl.Expr:
        """Return seconds since 1970."""
        parsed = (time.str.strptime(pl.Datetime("us"), layout, strict=False) for layout in layouts)
        return pl.coalesce(moment.dt.epoch("us") for moment in parsed) / 1_000_000

    return TimeFormat(TEXT, to_seconds, f"a date like {example!r}")


ISO_TIME = text_time(
    *("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"),
    *("%Y-%m-%d %H:%M", "%Y-%m-%d"),
    example="2024-05-31T12:00:00.250",
)


@dataclass(frozen=True)
class InteractionFields:
    """The raw file's names of an interaction's fields; `rating` is None where there are no ratings."""

    user: str
    item: str
    time: str
    rating: str | None
    time_format: TimeFormat

    def dtypes(self) -> dict[str, pl.DataType]:
        """Return the type of each field by its name."""
        dtypes = {self.user: TEXT, self.item: TEXT, self.time: self.time_format.dtype}
        return dtypes | ({self.rating: NUMBER} if self.rating else {})


@dataclass
class InteractionTableReader:
    """Turns frames of raw fields and `line` into interactions, one frame at a time.

    Users are numbered in order of appearance, or keep their numbers with `numbered_users`. Interactions
    with items that the table leaves out, and those rated below `min_rating`, are dropped and counted by
    reason; so are those with items that the table lacks, unless `all_listed` makes them an error.
    """

    path: Path
    fields: InteractionFields
    items: ItemTable
    min_rating: float = 0.0
    numbered_users: bool = False
    all_listed: bool = False
    users: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    unlisted: list[str] = field(default_factory=list)

    def read(self, batches: Iterable[pl.DataFrame]) -> Interactions:
        """Return all interactions in the order of the file; raises `ValueError` naming a bad line.

        Without a rating field the column `rating` is null.
        """
        if self.min_rating and self.fields.rating is None:
            raise ValueError(f"min_rating = {self.min_rating}, but {self.path.name} has no ratings; use 0")
        frames = [self._convert(batch) for batch in batches]
        if not frames:
            raise ValueError(f"{self.path} has no rows; fetch the file anew")
        if not any(frame.height for frame in frames):
            self._refuse_nothing_left()
        counts = {reason: self.counts[reason] for reason in (*REASONS, "no_rating", "below_min_rating")}
        drops = {**self.items.drops, **counts}
        return Interactions(
            pl.concat(frames), self.items.catalog, drops, str(self.path), str(self.items.path)
        )

    def _convert(self, batch: pl.DataFrame) -> pl.DataFrame:
        coded = self._rename(batch).with_columns(pl.col("item").map_batches(self._code_items, pl.Int64))
        self._check_times(coded)
        self._count_left_out(coded)
        usable = coded.filter(pl.col("item") >= 0)
        # First, since polars takes not-a-number for more than any number.
        with_rating = usable.filter(pl.col("rating").is_finite()) if self.fields.rating else usable
        self.counts["no_rating"] += usable.height - with_rating.height
        rated = with_rating.filter(pl.col("rating") >= self.min_rating) if self.min_rating else with_rating
        self.counts["below_min_rating"] += with_rating.height - rated.height
        users = (
            pl.col("user")
            if self.numbered_users
            else pl.col("user").map_batches(self._number_users, pl.Int64)
        )
        return rated.with_columns(users).select(
            pl.col(name).cast(kind) for name, kind in INTERACTION_SCHEMA.items()
        )

    def _rename(self, batch: pl.DataFrame) -> pl.DataFrame:
        names = self.fields
        rating = pl.col(names.rating) if names.rating else pl.lit(None)
        return batch.select(
            "line",
            pl.col(names.user).alias("user"),
            pl.col(names.item).alias("item"),
            pl.col(names.item).alias("raw_item"),
            pl.col(names.time).alias("raw_time"),
            names.time_format.to_seconds(pl.col(names.time)).alias("time"),
            rating.cast(pl.Float64).alias("rating"),
        )

    def _refuse_nothing_left(self) -> None:
        """Raise `ValueError` where no row has a listed item, or no such row a rating that is high enough."""
        if self.counts["below_min_rating"]:
            raise ValueError(
                f"min_rating = {self.min_rating:g}, but no item of {self.items.path.name} is rated so high "
                f"in {self.path}; use a lower dataset.reader.min_rating"
            )
        if self.counts["unlisted"] == self.counts.total() > 0:
            raise ValueError(self._explain_no_item())

    def _explain_no_item(self) -> str:
        listed = ", ".join(repr(key) for key in list(self.items.codes)[:3])
        return (
            f"{self.path}: field {self.fields.item!r} holds no item that {self.items.path.name} lists: "
            f"{', '.join(map(repr, self.unlisted))} here, {listed} there; "
            "name the columns that hold the same ids"
        )

    def _code_items(self, names: pl.Series) -> pl.Series:
        return _map_distinct(names, self.items.code_of)

    def _number_users(self, names: pl.Series) -> pl.Series:
        return _map_distinct(names, lambda name: self.users.setdefault(name, len(self.users)))

    def _check_times(self, coded: pl.DataFrame) -> None:
        fits = coded["time"].is_between(START_SECONDS, END_SECONDS, closed="left")
        faulty = (~fits.fill_null(value=False)).arg_true()
        if len(faulty):
            row = coded.row(faulty[0], named=True)
            raw, expected = row["raw_time"], self.fields.time_format.description
            value = f"{raw:.15g}" if isinstance(raw, float) else repr(raw)
            fault = f"field {self.fields.time!r} is {value}, expected {expected}"
            raise ValueError(f"{self.path}:{row['line']}: {fault}; correct this line or name the other unit")

    def _count_left_out(self, coded: pl.DataFrame) -> None:
        by_code = dict(coded.filter(pl.col("item") < 0).group_by("item").len().iter_rows())
        counts = {reason: by_code[code] for reason, code in CODES.items() if code in by_code}
        if "unlisted" in counts and not self.counts["unlisted"]:
            unlisted = coded.filter(pl.col("item") == CODES["unlisted"])
            self.unlisted = unlisted["raw_item"].unique(maintain_order=True).head(3).to_list()
            row = unlisted.row(0, named=True)
            if self.all_listed:
                fault = (
                    f"field {self.fields.item!r} is {row['raw_item']}, which {self.items.path.name} does not"
                )
                rows = f"list ({counts['unlisted']} such rows)"
                raise ValueError(
                    f"{self.path}:{row['line']}: {fault} {rows}; fetch both files from one edition"
                )
            fault = f"field {self.fields.item!r} is an item that {self.items.path.name} does not list"
            log.warning("%s:%d: %s (first one left out)", self.path, row["line"], fault)
        self.counts.update(counts)


def _map_distinct(names: pl.Series, code: Callable[[str], int]) -> pl.Series:
    """Return the code of each name; `code` is called once per distinct name, in order of appearance."""
    distinct = names.unique(maintain_order=True)
    codes = [code(name) for name in distinct]
    # A batch without rows gives a column without type, hence the second cast.
    return names.replace_strict(distinct, codes, return_dtype=pl.Int64).cast(pl.Int64)
