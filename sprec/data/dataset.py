"""A dataset ready for use: catalogue, split, popularity, genres and wording."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from sprec.data.catalog import Catalog, most_common_genres
from sprec.data.digests import fingerprint, hash_integers
from sprec.data.examples import Examples, Split, Wording
from sprec.data.filters import NO_FILTERS, Filters
from sprec.data.interactions import InteractionReader, Interactions
from sprec.data.splits import (
    SPLIT_NAMES,
    SPLITTERS,
    check_ratios,
    count_short_users,
    drop_repeated_targets,
    sample_row_numbers,
    sliding_windows,
)

log = logging.getLogger(__name__)

DIGESTED_SETTINGS = ("name", "history_min", "history_max", "split", "drop_repeats", "drop_duplicates")
CATALOG_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "title": pl.String,
    "genres": pl.List(pl.String),
    "popularity": pl.Int64,
}


# Without `eq`: comparing arrays gives arrays, which a generated comparison cannot use.
@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything that methods and metrics need to know of a dataset.

    `popularity[i]` counts the interactions with item `i` in the training rows, `genres` are the selected
    genres of MGU and DGU, `digest` is a SHA-256 hex of the files and settings that the rows came from.
    `all_valid` are the validation rows that a sampled dataset was sampled from (None: those of the split).
    """

    name: str
    catalog: Catalog
    split: Split
    popularity: NDArray[np.int64]
    genres: tuple[str, ...]
    wording: Wording
    digest: str
    all_valid: Examples | None = None

    @property
    def stopping_rows(self) -> Examples:
        """All validation rows, however few of them are scored: what says when a baseline's training ends."""
        return self.split.valid if self.all_valid is None else self.all_valid

    @cached_property
    def stopping_digest(self) -> str:
        """SHA-256 hex of the stopping rows; apart from the content's, which is of the rows of the split."""
        return hash_integers(self.stopping_rows.frame)

    @cached_property
    def part_digests(self) -> dict[str, str]:
        """SHA-256 hex of what stages depend on one by one: "training", "valid", "test" and "genres".

        "training" covers the training rows, the catalogue and the wording; the selected genres are apart
        since few stages before the metrics use them.
        """
        train, valid, test = (hash_integers(getattr(self.split, name).frame) for name in SPLIT_NAMES)
        catalog = {"titles": self.catalog.titles, "genres": self.catalog.genres}
        shared = {**catalog, "popularity": self.popularity.tolist(), "wording": asdict(self.wording)}
        training = fingerprint("training", rows=train, **shared)
        genres = fingerprint("genres", names=self.genres)
        return {"training": training, "valid": valid, "test": test, "genres": genres}

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 hex of the rows, titles and genres themselves, whichever code and files they came from."""
        return fingerprint("content", **self.part_digests)

    def sampled(
        self,
        train: int | None,
        valid: int | None,
        test: int | None,
        seed_stream: Callable[[str], Generator],
    ) -> "Dataset":
        """Return the dataset with that many rows per split, drawn without replacement.

        `seed_stream("train")` gives the generator of the training rows, and so on. None keeps all
        rows in order; where a split has fewer than asked for, all are kept and `drops["train_short"]`
        says how many were missing. Popularity stays that of all training rows, and the stopping rows
        are all validation rows.
        """
        sizes = dict(zip(SPLIT_NAMES, (train, valid, test), strict=True))
        parts = {name: getattr(self.split, name) for name in SPLIT_NAMES}
        rows = {
            name: sample_row_numbers(len(part), sizes[name], seed_stream(name)).tolist()
            for name, part in parts.items()
        }
        short = {f"{name}_short": max(0, (sizes[name] or 0) - len(part)) for name, part in parts.items()}
        drops = {**self.split.drops, **{name: count for name, count in short.items() if count}}
        split = Split(**{name: part.take(rows[name]) for name, part in parts.items()}, drops=drops)
        digest = fingerprint("sampled", parent=self.digest, rows=rows)
        return replace(self, split=split, digest=digest, all_valid=self.stopping_rows)

    def most_popular(self, k: int) -> NDArray[np.int64]:
        """Return the k items of the highest `popularity`, ties by first appearance as a training target.

        Items that are no training target come after those that are, lowest id first.
        """
        targets = self.split.train.frame["target"].unique(maintain_order=True).to_numpy()
        order = np.concatenate([targets, np.setdiff1d(np.arange(len(self.catalog)), targets)])
        return order[np.argsort(-self.popularity[order], kind="stable")][:k]

    def save(self, folder: Path) -> None:
        """Write `catalog.parquet`, one parquet file per split and `dataset.json` into the folder.

        The same dataset gives the same bytes each time.
        """
        folder.mkdir(parents=True, exist_ok=True)
        columns = {"title": self.catalog.titles, "genres": self.catalog.genres, "popularity": self.popularity}
        pl.DataFrame(columns, schema=CATALOG_SCHEMA).write_parquet(folder / "catalog.parquet")
        for name in SPLIT_NAMES:
            getattr(self.split, name).frame.write_parquet(folder / f"{name}.parquet")
        details = {key: getattr(self, key) for key in ("name", "genres", "digest")}
        details |= {"wording": asdict(self.wording), "drops": dict(self.split.drops)}
        text = json.dumps(details, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / "dataset.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Return the dataset that `save` wrote into the folder; `ValueError` where a file is missing."""
        for name in ("catalog.parquet", *(f"{name}.parquet" for name in SPLIT_NAMES), "dataset.json"):
            if not (folder / name).is_file():
                raise ValueError(
                    f"{folder} has no {name}: it holds no saved dataset; build the dataset again"
                )
        details = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        table = pl.read_parquet(folder / "catalog.parquet")
        parts = {name: Examples(pl.read_parquet(folder / f"{name}.parquet")) for name in SPLIT_NAMES}
        return cls(
            name=details["name"],
            catalog=Catalog(
                tuple(table["title"]), tuple(tuple(labels) for labels in table["genres"].to_list())
            ),
            split=Split(**parts, drops=details["drops"]),
            popularity=table["popularity"].to_numpy().copy(),  # polars hands out a read-only view
            genres=tuple(details["genres"]),
            wording=Wording(**details["wording"]),
            digest=details["digest"],
        )


class DatasetReader(Protocol):
    """Builds one dataset: what configuration names with `_target_`."""

    def digest(self) -> str:
        """Return a SHA-256 hex of the source and of all settings, without downloading anything."""

    def build(self) -> Dataset:
        """Return the dataset with all its rows; raises `ValueError` where the raw data is faulty."""


@dataclass(frozen=True)
class FromInteractions:
    """A dataset of sliding windows over a reader's interactions, by default split by time as in BIGRec.

    `genres` are the selected ones (None: the commonest of the data), `filters` say which interactions
    count. `ratios` are the shares of train, valid and test of the chronological split. With `drop_repeats`,
    rows whose target is in their history are dropped and counted; with `drop_duplicates`, interactions of
    one user, item, time and rating are one (they are counted either way).
    """

    name: str
    reader: InteractionReader
    genres: Sequence[str] | None
    wording: Wording
    history_min: int = 10
    history_max: int = 10
    ratios: Sequence[int] = (8, 1, 1)
    split: Literal["chronological", "leave_one_out"] = "chronological"
    drop_repeats: bool = False
    drop_duplicates: bool = False
    filters: Filters = NO_FILTERS

    def __post_init__(self) -> None:
        check_ratios(self.ratios)

    def digest(self) -> str:
        """Return the SHA-256 hex of the reader's digest and all settings here."""
        settings = {key: getattr(self, key) for key in DIGESTED_SETTINGS}
        settings |= {
            "filters": asdict(self.filters),
            "genres": None if self.genres is None else list(self.genres),
            "ratios": list(self.ratios),
            "wording": asdict(self.wording),
        }
        return fingerprint("interactions", reader=self.reader.digest(), **settings)

    def build(self) -> Dataset:
        """Return the dataset; users with `history_min` interactions or fewer are counted and left out.

        Raises `ValueError` where a split would be empty, a selected genre belongs to no item, or
        the raw data is faulty.
        """
        log.info("%s: reading the interactions", self.name)
        read, drops = self._filter(self.reader.read())
        genres = most_common_genres(read.catalog.genres) if self.genres is None else tuple(self.genres)
        check_genres(genres, read.catalog, self.name, origin=read.items_file)
        rows = sliding_windows(read.frame, history_min=self.history_min, history_max=self.history_max)
        drops = {**read.drops, **drops, "short_users": self._count_short_users(read)}
        if self.drop_repeats:
            before, rows = rows.height, drop_repeated_targets(rows)
            drops["repeated_targets"] = before - rows.height
        split = SPLITTERS[self.split](rows, self.ratios, drops)
        counts = count_popularity(split.train, items=len(read.catalog))
        return Dataset(self.name, read.catalog, split, counts, genres, self.wording, self.digest())

    def _filter(self, read: Interactions) -> tuple[Interactions, dict[str, int]]:
        """Return the interactions that the filters leave, and counts of the others and of duplicates."""
        if self.drop_duplicates:
            # Before the filters: a core would count repeats. In the file's order, which breaks ties of time.
            distinct = read.frame.unique(maintain_order=True)
            filtered, drops = self.filters(replace(read, frame=distinct))
            return filtered, {**drops, "duplicate_interactions": read.frame.height - distinct.height}
        filtered, drops = self.filters(read)
        duplicates = filtered.frame.height - filtered.frame.n_unique()
        return filtered, {**drops, "duplicate_interactions": duplicates}

    def _count_short_users(self, read: Interactions) -> int:
        short = count_short_users(read.frame, history_min=self.history_min)
        if short:
            log.info(
                "%s: field 'user' names %d users of %d interactions or fewer; they have no row",
                *(read.events_file, short, self.history_min),
            )
        return short


def count_popularity(train: Examples, *, items: int) -> NDArray[np.int64]:
    """Return how often each of `items` items was consumed in the training rows.

    Every row counts its target. The first row of each user counts its history too, so that overlapping
    windows count each interaction once; rows without users, as released, count their targets only.
    """
    targets = train.frame["target"].to_numpy()
    first = train.frame.filter(pl.col("user").is_not_null()).unique("user", keep="first", maintain_order=True)
    histories = first["history"].explode().drop_nulls().to_numpy()
    return np.bincount(targets, minlength=items) + np.bincount(histories, minlength=items)


def check_genres(
    genres: Sequence[str], catalog: Catalog, name: str, *, origin: str = "the genre files"
) -> None:
    """Raise `ValueError` unless every selected genre is named once and belongs to some item of the catalogue.

    `origin` names the file whose field 'genres' was read.
    """
    known = {label for labels in catalog.genres for label in labels}
    for genre in genres:
        if genre not in known:
            raise ValueError(
                f"{name}: no item has the selected genre {genre!r}; "
                f"choose from {', '.join(sorted(known))} (field 'genres' of {origin})"
            )
        # Its second column would stay empty, and MGU be a mean over one genre more.
        if genres.count(genre) > 1:
            raise ValueError(
                f"{name}: the selected genre {genre!r} is named {genres.count(genre)} times; name it once"
            )
