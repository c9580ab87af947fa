"""MovieLens in the editions that GroupLens publishes, and 100k as RecBole carries it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl

from sprec.data.download.sources import SourceError, find_file
from sprec.data.formats import movielens_items as movies
from sprec.data.formats.delimited import cast_columns, read_ratings
from sprec.data.formats.interactions_table import InteractionFields, InteractionTableReader, epoch_time
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.interactions import Interactions
from sprec.data.readers.raw_reader import RawReader

FIELDS = InteractionFields("user", "item", "time", "rating", epoch_time(1))
CSV = {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}
RECBOLE = {
    "user": "user_id:token",
    "item": "item_id:token",
    "rating": "rating:float",
    "time": "timestamp:float",
}


@dataclass(frozen=True)
class MovieLens(RawReader):
    """Reads `edition` "100k", "1m", "10m", "25m" or "latest-small" from a source's folder.

    Interactions rated below `min_rating` are dropped and counted; 0 keeps all, as released.
    `duplicates` says what becomes of movies of one title: "merged" or "numbered" by a number.
    """

    edition: Literal["100k", "1m", "10m", "25m", "latest-small"]
    min_rating: float = 0.0

    def read(self) -> Interactions:
        """Return all interactions in file order, without movies that have no title.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        items_file, rows, ratings_file, texts = EDITIONS[self.edition](self.source.fetch())
        items = build_item_table(items_file, rows, duplicates=self.duplicates)
        ratings = cast_columns(ratings_file, texts, {**FIELDS.dtypes(), "user": pl.Int64()}, rating="rating")
        # Both files of an edition come together: a movie that is not listed means that two are mixed.
        reader = InteractionTableReader(
            ratings_file, FIELDS, items, self.min_rating, numbered_users=True, all_listed=True
        )
        return reader.read([ratings])


_Tables = tuple[Path, Iterator[ItemRow], Path, pl.DataFrame]
"""The files of movies and ratings, each with its rows; the ratings are text."""


def _read_100k(folder: Path) -> _Tables:
    try:
        events = find_file(folder, "ml-100k.inter", "u.data")
    except SourceError as problem:
        raise SourceError(f"{problem}; 100k is ml-100k.inter and .item, or u.data and u.item") from None
    if events.name.startswith("ml-100k.inter"):
        items = find_file(folder, "ml-100k.item")
        ratings = read_ratings(events, separator="\t", names=RECBOLE)
        return items, movies.read_recbole_movies(items), events, ratings
    items = find_file(folder, "u.item")
    ratings = read_ratings(events, separator="\t")
    return items, movies.read_flag_movies(items), events, ratings


def _read_csv(folder: Path) -> _Tables:
    items, events = find_file(folder, "movies.csv"), find_file(folder, "ratings.csv")
    ratings = read_ratings(events, separator=",", names=CSV)
    return items, movies.read_csv_movies(items), events, ratings


def _read_double_colon(folder: Path, *, encoding: str) -> _Tables:
    items, events = find_file(folder, "movies.dat"), find_file(folder, "ratings.dat")
    table = movies.read_double_colon_movies(items, encoding=encoding)
    return items, table, events, read_ratings(events, separator="::")


EDITIONS: Mapping[str, Callable[[Path], _Tables]] = {
    "100k": _read_100k,
    # GroupLens changed the encoding between these two.
    "1m": partial(_read_double_colon, encoding="latin-1"),
    "10m": partial(_read_double_colon, encoding="utf-8"),
    "latest-small": _read_csv,
    "25m": _read_csv,
}
