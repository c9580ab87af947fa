"""Anybody's interactions: a table of user, item and time, and a table of titles and genres."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sprec.data.download.sources import find_file
from sprec.data.formats.delimited import cast_columns, check_width, find_columns, read_csv_records
from sprec.data.formats.interactions_table import (
    ISO_TIME,
    InteractionFields,
    InteractionTableReader,
    epoch_time,
)
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.interactions import Interactions
from sprec.data.readers.raw_reader import RawReader

WHOLE_NUMBER = r"^(-?\d+)\.0+$"  # as tables with a missing value write whole numbers
RECORDS_PER_FRAME = 2_000  # few enough to stay in the processor's cache: more take twice as long
TYPED_TAB = "\\t"  # what a command line makes of a tab
UNITS_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000}


@dataclass(frozen=True)
class Custom(RawReader):
    r"""Reads two tables, each CSV with a header (`.csv`, `.csv.gz`) or Parquet, from a source's folder.

    `interactions` and `items` are the files. `user`, `item`, `time` and `rating` (None: no ratings)
    name columns of the first, `item`, `title` and `genres` (None: no genres) of the second.
    Times are ISO dates, Parquet's own, or numbers in `time_unit` ("s", "ms", "us") since 1970. Ids may
    be numbers: 3 and 3.0 are one id. CSV genres are separated by `genre_separator`; Parquet
    ones may be lists. `separator` stands between the fields of a CSV file, `\t` for a tab; a line with
    more fields than the header is refused, since a decimal comma would move all that follows it.
    """

    interactions: str = "interactions.csv"
    items: str = "items.csv"
    user: str = "user"
    item: str = "item"
    time: str = "time"
    rating: str | None = None
    title: str = "title"
    genres: str | None = "genres"
    time_unit: Literal["s", "ms", "us"] = "s"
    separator: str = ","
    genre_separator: str = "|"
    min_rating: float = 0.0

    def __post_init__(self) -> None:
        # Ids may be the titles themselves; no other column has two roles.
        for roles in (("user", "item", "time", "rating"), ("title", "genres"), ("item", "genres")):
            columns = [name for role in roles if (name := getattr(self, role))]
            if twice := next((name for name in columns if columns.count(name) > 1), None):
                raise ValueError(
                    f"dataset.reader: column {twice!r} is named for two of {', '.join(roles)}; "
                    "name one for each"
                )
        if self.separator == TYPED_TAB:
            object.__setattr__(self, "separator", "\t")
        if len(self.separator) != 1 or self.separator in '"\r\n':
            raise ValueError(
                f"dataset.reader.separator = {self.separator!r} is not one character; give that which stands "
                f"between the fields, {TYPED_TAB} for a tab"
            )

    def read(self) -> Interactions:
        """Return all interactions in file order.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line (of a Parquet
        file: row) and field.
        """
        folder = self.source.fetch()
        events, items = find_file(folder, self.interactions), find_file(folder, self.items)
        table = build_item_table(items, self._read_items(items), duplicates=self.duplicates)
        names = [self.user, self.item, self.time, *([self.rating] if self.rating else [])]
        frame = self._read_columns(events, names)
        frame = frame.with_columns(_as_ids(frame[self.user]), _as_ids(frame[self.item]))
        if isinstance(kind := frame[self.time].dtype, pl.Time | pl.Duration):
            raise ValueError(f"{events}: column {self.time!r} holds {kind}, no date; write dates or seconds")
        if kind.is_temporal():
            seconds = pl.col(self.time).cast(pl.Datetime("us")).dt.epoch("us") / 1_000_000
            frame, time_format = frame.with_columns(seconds), epoch_time(1)
        else:
            time_format = (
                ISO_TIME if _is_date(frame[self.time]) else epoch_time(UNITS_PER_SECOND[self.time_unit])
            )
        fields = InteractionFields(self.user, self.item, self.time, self.rating, time_format)
        frame = cast_columns(events, frame, fields.dtypes(), rating=self.rating)
        return InteractionTableReader(events, fields, table, self.min_rating).read([frame])

    def _read_columns(self, path: Path, names: Sequence[str]) -> pl.DataFrame:
        """Return these columns (of a CSV file as text) and `line`, the line or row of each."""
        if not _is_parquet(path):
            return pl.concat(self._csv_frames(path, names))
        table = pl.scan_parquet(path)
        find_columns(path, table.collect_schema().names(), {name: name for name in names})
        try:
            frame = table.select(names).collect(engine="streaming")
        except pl.exceptions.PolarsError as problem:
            fault = str(problem).splitlines()[0]
            raise ValueError(f"{path} cannot be read ({fault}); write the file anew") from None
        return frame.with_row_index("line", offset=1)

    def _csv_frames(self, path: Path, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield frames of text, the first perhaps without rows; a field that is empty or lacking is null.

        Raises `ValueError` naming a column that the header lacks, or a line with more fields than it.
        """
        # Not by polars: it takes any quote for one that may hold line breaks, and so loses the lines between
        # two titles like `The 7" single`; and a guessed type would make the id 007 a 7.
        records = read_csv_records(path, self.separator)
        _, header = next(records, (1, [""]))
        columns = find_columns(path, header, {name: name for name in names})
        schema = {"line": pl.UInt32, **dict.fromkeys(columns, pl.String)}
        yield pl.DataFrame(schema=schema)
        while chunk := list(islice(records, RECORDS_PER_FRAME)):
            for line, fields in chunk:
                if len(fields) > len(header):
                    check_width(fields, len(header), f"{path}:{line}")
            texts = {
                name: [fields[place] or None if place < len(fields) else None for _, fields in chunk]
                for name, place in columns.items()
            }
            yield pl.DataFrame({"line": [line for line, _ in chunk], **texts}, schema=schema)

    def _read_items(self, path: Path) -> Iterator[ItemRow]:
        for line, key, title, raw in self._item_rows(path):
            if key is None or key == "":
                raise ValueError(
                    f"{path}:{line}: field {self.item!r} is missing; correct or delete this line"
                )
            labels = raw.split(self.genre_separator) if isinstance(raw, str) else raw
            several = labels if isinstance(labels, list) else [labels]
            genres = (str(label).strip() for label in several if label is not None)
            yield ItemRow(line, key, title or "", tuple(genre for genre in genres if genre))

    def _item_rows(self, path: Path) -> Iterator[tuple[int, Any, str | None, Any]]:
        names = [self.item, self.title, *([self.genres] if self.genres else [])]
        if _is_parquet(path):
            frame = self._read_columns(path, list(dict.fromkeys(names)))
            if frame[self.title].dtype.is_numeric():
                frame = frame.with_columns(_as_ids(frame[self.title]))
            frame = frame.with_columns(_as_ids(frame[self.item]))
            roles = [pl.col(name).alias(str(place)) for place, name in enumerate(names)]
            for line, *row in frame.select("line", *roles).iter_rows():
                yield line, row[0], row[1], row[2] if self.genres else None
            return
        records = read_csv_records(path, self.separator)
        _, header = next(records, (1, [""]))
        columns = find_columns(path, header, {name: name for name in names})
        for line, fields in records:
            check_width(fields, len(header), f"{path}:{line}")
            row = [fields[columns[name]] for name in names]
            yield line, re.sub(WHOLE_NUMBER, r"\1", row[0].strip()), row[1], row[2] if self.genres else None


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _as_ids(column: pl.Series) -> pl.Series:
    """Return numbers as text, whole ones without a fraction, and what is no number as missing."""
    known = column.fill_nan(None) if column.dtype.is_float() else column
    return known.cast(pl.String).str.strip_chars().replace("", None).str.replace(WHOLE_NUMBER, "$1")


def _is_date(times: pl.Series) -> bool:
    """Tell whether the first time is written as an ISO date."""
    first = next((time for time in times.head(1) if isinstance(time, str)), "")
    return re.match(r"\d{4}-\d\d-\d\d", first) is not None
