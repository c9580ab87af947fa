"""Goodreads, as the UCSD Book Graph publishes it (Wan & McAuley 2018)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sprec.data.catalog import require_duplicates
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, locate
from sprec.data.formats.interactions_table import EventReader, Fields, written
from sprec.data.formats.item_table import Item, listed
from sprec.data.formats.json_lines import TEXT, TEXTS, frames
from sprec.data.interactions import Interactions

DATES = written("%a %b %d %H:%M:%S %z %Y", "Fri Jan 10 12:01:47 -0800 2014")
FIELDS = Fields(user="user_id", item="book_id", time="date_added", rating="rating", clock=DATES)


@dataclass(frozen=True)
class Goodreads:
    """Reads goodreads_books.json, goodreads_book_genres_initial.json and goodreads_interactions_dedup.json.

    A book's genres are the labels of its entry in the second file. A book on a shelf that was never
    rated has rating 0: `min_rating` 1 leaves such out. `duplicates` says what becomes of books
    (often editions) of one title: "merged" or "told_apart" by a number.
    """

    source: Source
    min_rating: float = 0.0
    duplicates: str = "merged"

    def __post_init__(self) -> None:
        require_duplicates(self.duplicates)

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and this reader's settings."""
        settings = {"min_rating": float(self.min_rating), "duplicates": self.duplicates}
        return fingerprint("goodreads", source=self.source.digest(), **settings)

    def read(self) -> Interactions:
        """Return all interactions in file order.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        folder = self.source.fetch()
        books = locate(folder, "goodreads_books.json")
        genres = _genres(locate(folder, "goodreads_book_genres_initial.json"))
        events = locate(folder, "goodreads_interactions_dedup.json", "goodreads_interactions.json")
        items = listed(books, _books(books, genres), duplicates=self.duplicates)
        batches = frames(events, FIELDS.kinds())
        return EventReader(events, FIELDS, items, self.min_rating).read(batches)


def _genres(path: Path) -> dict[str, tuple[str, ...]]:
    fields: dict[str, pl.DataType] = {"book_id": TEXT, "genres": TEXTS}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # few combinations, many books
    found = {}
    for batch in frames(path, fields, parse=_labels):
        for book, labels in batch.select("book_id", "genres").iter_rows():
            found[book] = shared.setdefault(tuple(labels), tuple(labels))
    return found


def _labels(text: str) -> Any:
    """Return a line's record, with the labels alone where it counts votes per label."""
    record = json.loads(text)
    if isinstance(record, dict) and isinstance(record.get("genres"), dict):
        record["genres"] = list(record["genres"])
    return record


def _books(path: Path, genres: dict[str, tuple[str, ...]]) -> Iterator[Item[str]]:
    for batch in frames(path, {"book_id": TEXT, "title": TEXT}, optional=("title",)):
        for line, book, title in batch.select("line", "book_id", "title").iter_rows():
            yield Item(line, book, title or "", genres.get(book, ()))
