"""MovieLens in the editions that GroupLens publishes, and 100k as RecBole carries it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from sprec.data.catalog import check_duplicates_option
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, SourceError, find_file
from sprec.data.formats import movielens_items as movies
from sprec.data.formats.delimited import read_ratings
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.interactions import INTERACTION_SCHEMA, Interactions

CSV = {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}
RECBOLE = {
    "user": "user_id:token",
    "item": "item_id:token",
    "rating": "rating:float",
    "time": "timestamp:float",
}


@dataclass(frozen=True)
class MovieLens:
    """Reads `edition` "100k", "1m", "10m", "25m" or "latest-small" from a source's folder.

    Interactions rated below `min_rating` are dropped and counted; 0 keeps all, as released.
    `duplicates` says what becomes of movies of one title: "merged" or "numbered" by a number.
    """

    source: Source
    edition: str
    min_rating: float = 0.0
    duplicates: str = "merged"

    def __post_init__(self) -> None:
        check_duplicates_option(self.duplicates)
        if self.edition not in EDITIONS:
            raise ValueError(f"no MovieLens edition {self.edition!r}; choose one of {', '.join(EDITIONS)}")

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and this reader's settings."""
        settings = {
            "edition": self.edition,
            "min_rating": float(self.min_rating),
            "duplicates": self.duplicates,
        }
        return fingerprint("movielens", source=self.source.digest(), **settings)

    def read(self) -> Interactions:
        """Return all interactions in file order, without movies that have no title.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        tables = EDITIONS[self.edition](self.source.fetch())
        return tables.to_interactions(min_rating=self.min_rating, duplicates=self.duplicates)


@dataclass(frozen=True)
class _Tables:
    """The two tables of an edition; `ratings` has the columns user, item (raw number), rating, time."""

    items_file: Path
    items: list[ItemRow[int]]
    ratings_file: Path
    ratings: pl.DataFrame
    header: bool

    def to_interactions(self, *, min_rating: float, duplicates: str) -> Interactions:
        """Return the interactions with their catalogue; what is left out is counted."""
        table = build_item_table(self.items_file, self.items, duplicates=duplicates)
        rated = self.ratings.with_columns(self._ids(table.codes))
        titled = rated.filter(pl.col("item") >= 0)
        liked = titled.filter(pl.col("rating") >= min_rating)
        drops = {
            **table.drops,
            "no_title": rated.height - titled.height,
            "below_min_rating": titled.height - liked.height,
        }
        frame = liked.select(pl.col(name).cast(kind) for name, kind in INTERACTION_SCHEMA.items())
        return Interactions(frame, table.catalog, drops, str(self.ratings_file), str(self.items_file))

    def _ids(self, numbers: Mapping[int, int]) -> pl.Series:
        raw = self.ratings["item"]
        ids = raw.replace_strict(numbers, default=None, return_dtype=pl.Int32)
        unknown = ids.is_null().arg_true()
        if len(unknown):
            place = f"{self.ratings_file}:{unknown[0] + 1 + self.header}"
            raise ValueError(
                f"{place}: field 'item' is {raw[unknown[0]]}, which {self.items_file.name} does not list "
                f"({len(unknown)} such rows); fetch both files from one edition"
            )
        return ids


def _read_100k(folder: Path) -> _Tables:
    try:
        events = find_file(folder, "ml-100k.inter", "u.data")
    except SourceError as problem:
        raise SourceError(f"{problem}; 100k is ml-100k.inter and .item, or u.data and u.item") from None
    if events.name.startswith("ml-100k.inter"):
        items = find_file(folder, "ml-100k.item")
        ratings = read_ratings(events, separator="\t", names=RECBOLE)
        return _Tables(items, list(movies.read_recbole_movies(items)), events, ratings, header=True)
    items = find_file(folder, "u.item")
    ratings = read_ratings(events, separator="\t")
    return _Tables(items, list(movies.read_flag_movies(items)), events, ratings, header=False)


def _read_csv(folder: Path) -> _Tables:
    items, events = find_file(folder, "movies.csv"), find_file(folder, "ratings.csv")
    ratings = read_ratings(events, separator=",", names=CSV)
    return _Tables(items, list(movies.read_csv_movies(items)), events, ratings, header=True)


def _read_double_colon(folder: Path, *, encoding: str) -> _Tables:
    items, events = find_file(folder, "movies.dat"), find_file(folder, "ratings.dat")
    table = list(movies.read_double_colon_movies(items, encoding=encoding))
    return _Tables(items, table, events, read_ratings(events, separator="::"), header=False)


EDITIONS: Mapping[str, Callable[[Path], _Tables]] = {
    "100k": _read_100k,
    "1m": partial(_read_double_colon, encoding="latin-1"),
    "10m": partial(_read_double_colon, encoding="utf-8"),
    "latest-small": _read_csv,
    "25m": _read_csv,
}
