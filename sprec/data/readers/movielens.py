"""MovieLens in the editions that GroupLens publishes, and 100k as RecBole carries it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from sprec.data.catalog import require_duplicates
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, SourceError, locate
from sprec.data.formats import movielens_items as movies
from sprec.data.formats.delimited import read_ratings
from sprec.data.formats.item_table import Item, listed
from sprec.data.interactions import COLUMNS, Interactions

# 100k holds one row without a title, with 9 ratings; RecBole spells its placeholder "unkonwn".
NO_TITLE = {"", "unknown", "unkonwn"}
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
    `duplicates` says what becomes of movies of one title: "merged" or "told_apart" by a number.
    """

    source: Source
    edition: str
    min_rating: float = 0.0
    duplicates: str = "merged"

    def __post_init__(self) -> None:
        require_duplicates(self.duplicates)
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
        """Return all interactions in file order; a movie without a title goes, with its ratings.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        raw = EDITIONS[self.edition](self.source.fetch())
        return raw.interactions(min_rating=self.min_rating, duplicates=self.duplicates)


@dataclass(frozen=True)
class _Raw:
    """The two tables of an edition; `ratings` has the columns user, item (raw number), rating, time."""

    items: Path
    movies: list[movies.Movie]
    events: Path
    ratings: pl.DataFrame
    header: bool

    def interactions(self, *, min_rating: float, duplicates: str) -> Interactions:
        """Return the rated interactions with their catalogue; what is left out is counted."""
        items = listed(self.items, map(_item, self.movies), duplicates=duplicates)
        rated = self.ratings.with_columns(self._ids(items.codes))
        titled = rated.filter(pl.col("item") >= 0)
        kept = titled.filter(pl.col("rating") >= min_rating)
        drops = {
            **items.drops,
            "no_title": rated.height - titled.height,
            "below_min_rating": titled.height - kept.height,
        }
        frame = kept.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
        return Interactions(frame, items.catalog, drops, str(self.events), str(self.items))

    def _ids(self, numbers: Mapping[int, int]) -> pl.Series:
        raw = self.ratings["item"]
        found = raw.replace_strict(numbers, default=None, return_dtype=pl.Int32)
        unknown = found.is_null().arg_true()
        if len(unknown):
            place = f"{self.events}:{unknown[0] + 1 + self.header}"
            raise ValueError(
                f"{place}: field 'item' is {raw[unknown[0]]}, which {self.items.name} does not list "
                f"({len(unknown)} such rows); fetch both files from one edition"
            )
        return found


def _item(movie: movies.Movie) -> Item[int]:
    title = "" if movie.title in NO_TITLE else movie.title
    return Item(movie.line, movie.number, title, movie.genres)


def _read_100k(folder: Path) -> _Raw:
    try:
        events = locate(folder, "ml-100k.inter", "u.data")
    except SourceError as problem:
        raise SourceError(f"{problem}; 100k is ml-100k.inter and .item, or u.data and u.item") from None
    if events.name.startswith("ml-100k.inter"):
        items = locate(folder, "ml-100k.item")
        ratings = read_ratings(events, separator="\t", names=RECBOLE)
        return _Raw(items, list(movies.recbole_movies(items)), events, ratings, header=True)
    items = locate(folder, "u.item")
    ratings = read_ratings(events, separator="\t")
    return _Raw(items, list(movies.flag_movies(items)), events, ratings, header=False)


def _read_csv(folder: Path) -> _Raw:
    items, events = locate(folder, "movies.csv"), locate(folder, "ratings.csv")
    ratings = read_ratings(events, separator=",", names=CSV)
    return _Raw(items, list(movies.csv_movies(items)), events, ratings, header=True)


def _read_double_colon(folder: Path, *, encoding: str) -> _Raw:
    items, events = locate(folder, "movies.dat"), locate(folder, "ratings.dat")
    table = list(movies.double_colon_movies(items, encoding=encoding))
    return _Raw(items, table, events, read_ratings(events, separator="::"), header=False)


EDITIONS: Mapping[str, Callable[[Path], _Raw]] = {
    "100k": _read_100k,
    "1m": partial(_read_double_colon, encoding="latin-1"),
    "10m": partial(_read_double_colon, encoding="utf-8"),
    "latest-small": _read_csv,
    "25m": _read_csv,
}
