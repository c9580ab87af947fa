"""Goodreads, as the UCSD Book Graph publishes it (Wan & McAuley 2018)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sprec.data.download.sources import find_file
from sprec.data.formats.interactions_table import InteractionFields, InteractionTableReader, text_time
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.formats.json_lines import TEXT, TEXTS, read_frames
from sprec.data.interactions import Interactions
from sprec.data.readers.raw_reader import RawReader

DATES = text_time("%a %b %d %H:%M:%S %z %Y", example="Fri Jan 10 12:01:47 -0800 2014")
FIELDS = InteractionFields(
    user="user_id", item="book_id", time="date_added", rating="rating", time_format=DATES
)


@dataclass(frozen=True)
class Goodreads(RawReader):
    """Reads goodreads_books.json, goodreads_book_genres_initial.json and goodreads_interactions_dedup.json.

    A book's genres are the labels of its entry in the second file. A book on a shelf that was never
    rated has rating 0: `min_rating` 1 leaves such out. `duplicates` says what becomes of books
    (often editions) of one title: "merged" or "numbered" by a number.
    """

    min_rating: float = 0.0

    def read(self) -> Interactions:
        """Return all interactions in file order.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        folder = self.source.fetch()
        books = find_file(folder, "goodreads_books.json")
        genres = _read_genres(find_file(folder, "goodreads_book_genres_initial.json"))
        events = find_file(folder, "goodreads_interactions_dedup.json", "goodreads_interactions.json")
        items = build_item_table(books, _read_books(books, genres), duplicates=self.duplicates)
        batches = read_frames(events, FIELDS.dtypes())
        return InteractionTableReader(events, FIELDS, items, self.min_rating).read(batches)


def _read_genres(path: Path) -> dict[str, tuple[str, ...]]:
    fields: dict[str, pl.DataType] = {"book_id": TEXT, "genres": TEXTS}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # few combinations, millions of books
    by_book = {}
    for batch in read_frames(path, fields, parse=_parse_genres):
        for book, labels in batch.select("book_id", "genres").iter_rows():
            by_book[book] = shared.setdefault(tuple(labels), tuple(labels))
    return by_book


def _parse_genres(text: str) -> Any:
    """Return a line's record; where it counts votes per genre, only the genres are left."""
    record = json.loads(text)
    if isinstance(record, dict) and isinstance(record.get("genres"), dict):
        record["genres"] = list(record["genres"])
    return record


def _read_books(path: Path, genres: dict[str, tuple[str, ...]]) -> Iterator[ItemRow]:
    for batch in read_frames(path, {"book_id": TEXT, "title": TEXT}, optional=("title",)):
        for line, book, title in batch.select("line", "book_id", "title").iter_rows():
            yield ItemRow(line, book, title or "", genres.get(book, ()))
