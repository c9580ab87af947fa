"""Anybody's interactions: a table of user, item and time, and a table of titles and genres."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sprec.data.catalog import check_duplicates_option
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, find_file
from sprec.data.formats.delimited import cast_columns, check_width, find_columns, read_lines
from sprec.data.formats.interactions_table import InteractionFields, InteractionTableReader, epoch_time
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.interactions import Interactions

UNITS_PER_SECOND = {"s": 1, "ms": 1000}


@dataclass(frozen=True)
class Custom:
    """Reads two tables, each CSV with a header (`.csv`, `.csv.gz`) or Parquet, from a source's folder.

    `interactions` and `items` are the files. `user`, `item`, `time` and `rating` (None: no ratings)
    name columns of the first, `item`, `title` and `genres` (None: no genres) of the second.
    `time_unit` is "s" or "ms" since 1970. CSV genres are separated by `genre_separator`; Parquet
    ones may be lists. `separator` stands between the fields of a CSV file; in the table of
    interactions, fields beyond those of the header are ignored.
    """

    source: Source
    interactions: str = "interactions.csv"
    items: str = "items.csv"
    user: str = "user"
    item: str = "item"
    time: str = "time"
    rating: str | None = None
    title: str = "title"
    genres: str | None = "genres"
    time_unit: Literal["s", "ms"] = "s"
    separator: str = ","
    genre_separator: str = "|"
    min_rating: float = 0.0
    duplicates: str = "merged"

    def __post_init__(self) -> None:
        check_duplicates_option(self.duplicates)
        if self.time_unit not in UNITS_PER_SECOND:
            raise ValueError(f"time_unit = {self.time_unit!r}; choose one of {', '.join(UNITS_PER_SECOND)}")

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and this reader's settings."""
        settings = {key: value for key, value in asdict(self).items() if key != "source"}
        return fingerprint("custom", source=self.source.digest(), **settings)

    def read(self) -> Interactions:
        """Return all interactions in file order.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line (of a Parquet
        file: row) and field.
        """
        folder = self.source.fetch()
        events, items = find_file(folder, self.interactions), find_file(folder, self.items)
        time_format = epoch_time(UNITS_PER_SECOND[self.time_unit])
        fields = InteractionFields(self.user, self.item, self.time, self.rating, time_format)
        table = build_item_table(items, self._read_items(items), duplicates=self.duplicates)
        frame = self._read_columns(events, list(fields.dtypes()))
        if frame[self.time].dtype.is_temporal():
            frame = frame.with_columns(pl.col(self.time).dt.epoch(self.time_unit))
        frame = cast_columns(events, frame, fields.dtypes())
        return InteractionTableReader(events, fields, table, self.min_rating).read([frame])

    def _read_columns(self, path: Path, names: Sequence[str]) -> pl.DataFrame:
        """Return these columns (of a CSV file as text) and `line`, the line or row of each."""
        if _is_parquet(path):
            table = pl.scan_parquet(path)
            find_columns(path, table.collect_schema().names(), {name: name for name in names})
        else:
            self._find_columns(path, self._csv_rows(path), names)
            table = pl.scan_csv(path, separator=self.separator, infer_schema=False)
        try:
            frame = table.select(names).collect(engine="streaming")
        except pl.exceptions.PolarsError as problem:
            raise ValueError(self._describe_fault(path, problem)) from None
        return frame.with_row_index("line", offset=1 if _is_parquet(path) else 2)

    def _csv_rows(self, path: Path) -> Any:
        return csv.reader((line for _, line in read_lines(path)), delimiter=self.separator)

    def _find_columns(self, path: Path, table: Iterator[list[str]], names: Sequence[str]) -> dict[str, int]:
        header = [name.removeprefix("\ufeff") for name in next(table, [])]
        return find_columns(path, header, {name: name for name in names})

    def _describe_fault(self, path: Path, problem: Exception) -> str:
        """Return what is wrong with a table; a CSV row of a wrong width raises it with its line."""
        if not _is_parquet(path):
            table = self._csv_rows(path)
            width = len(next(table, []))
            for fields in table:
                check_width(fields, width, f"{path}:{table.line_num}")
        return f"{path} cannot be read ({str(problem).splitlines()[0]}); write the file anew"

    def _read_items(self, path: Path) -> Iterator[ItemRow]:
        for line, key, title, raw in self._item_rows(path):
            if key is None or key == "":
                raise ValueError(
                    f"{path}:{line}: field {self.item!r} is missing; correct or delete this line"
                )
            labels = raw.split(self.genre_separator) if isinstance(raw, str) else raw or ()
            yield ItemRow(line, str(key), title or "", tuple(label for label in labels if label))

    def _item_rows(self, path: Path) -> Iterator[tuple[int, Any, str | None, Any]]:
        names = [self.item, self.title, *([self.genres] if self.genres else [])]
        if _is_parquet(path):
            for line, *row in self._read_columns(path, names).iter_rows():
                yield line, row[0], row[1], row[2] if self.genres else None
            return
        table = self._csv_rows(path)
        header: list[str] = next(table, [])
        columns = self._find_columns(path, iter([header]), names)
        for fields in table:
            check_width(fields, len(header), f"{path}:{table.line_num}")
            row = [fields[columns[name]] for name in names]
            yield table.line_num, row[0], row[1], row[2] if self.genres else None


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"
