"""Amazon reviews of one category, in the formats of 2014, 2018 and 2023 (McAuley lab)."""

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sprec.data.catalog import require_duplicates
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, locate
from sprec.data.formats.interactions_table import EventReader, Fields, ticks
from sprec.data.formats.item_table import Item, listed
from sprec.data.formats.json_lines import TEXT, TEXTS, frames
from sprec.data.interactions import Interactions
from sprec.data.repairs import repair_entities


@dataclass(frozen=True)
class Format:
    """What one year's files are called, and what their fields are."""

    reviews: Sequence[str]
    metadata: str
    fields: Fields
    item: str
    categories: str
    parse: Callable[[str], Any] = json.loads


REVIEWS = Fields(user="reviewerID", item="asin", time="unixReviewTime", rating="overall", clock=ticks(1))
REVIEWS_2023 = Fields(
    user="user_id", item="parent_asin", time="timestamp", rating="rating", clock=ticks(1000)
)
FORMATS: Mapping[int, Format] = {
    2014: Format(
        reviews=("reviews_{}_5.json", "reviews_{}.json"),
        metadata="meta_{}.json",
        fields=REVIEWS,
        item="asin",
        categories="categories",
        parse=ast.literal_eval,  # the metadata of 2014 is Python, its reviews are JSON
    ),
    2018: Format(
        reviews=("{}_5.json", "{}.json"),
        metadata="meta_{}.json",
        fields=REVIEWS,
        item="asin",
        categories="category",
    ),
    2023: Format(
        reviews=("{}.jsonl",),
        metadata="meta_{}.jsonl",
        fields=REVIEWS_2023,
        item="parent_asin",
        categories="categories",
    ),
}


@dataclass(frozen=True)
class Amazon:
    """Reads the reviews and the metadata of a `category` such as "CDs_and_Vinyl" from a source's folder.

    `format` is the year of the release: 2014, 2018 or 2023. HTML entities in titles and genres are
    replaced. Left out with their reviews are items without a title, with `drop_html` those whose
    title is a piece of a web page, and those of more than `words_max` words (0: no limit), as D3
    does (Bao et al. 2024). An item's genres are its categories without `ignored_genres`.
    """

    source: Source
    category: str
    format: int
    min_rating: float = 0.0
    words_max: int = 20
    drop_html: bool = True
    ignored_genres: Sequence[str] = ()
    duplicates: str = "merged"

    def __post_init__(self) -> None:
        require_duplicates(self.duplicates)
        if self.format not in FORMATS:
            raise ValueError(
                f"no Amazon format {self.format!r}; choose one of {', '.join(map(str, FORMATS))}"
            )

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and this reader's settings."""
        settings = {key: value for key, value in asdict(self).items() if key != "source"}
        settings |= {"min_rating": float(self.min_rating), "ignored_genres": list(self.ignored_genres)}
        return fingerprint("amazon", source=self.source.digest(), **settings)

    def read(self) -> Interactions:
        """Return all reviews in file order.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        folder, known = self.source.fetch(), FORMATS[self.format]
        metadata = locate(folder, known.metadata.format(self.category))
        events = locate(folder, *(name.format(self.category) for name in known.reviews))
        items = listed(
            metadata,
            self._items(metadata, known),
            duplicates=self.duplicates,
            words_max=self.words_max,
            drop_html=self.drop_html,
        )
        batches = frames(events, known.fields.kinds())
        return EventReader(events, known.fields, items, self.min_rating).read(batches)

    def _items(self, path: Path, known: Format) -> Iterator[Item[str]]:
        fields: dict[str, pl.DataType] = {known.item: TEXT, "title": TEXT, known.categories: TEXTS}
        optional = ("title", known.categories)
        for batch in frames(path, fields, optional=optional, parse=known.parse):
            for line, key, title, labels in batch.select("line", *fields).iter_rows():
                yield Item(line, key, repair_entities(title or ""), self._genres(labels or ()))

    def _genres(self, labels: Sequence[str]) -> tuple[str, ...]:
        names = dict.fromkeys(repair_entities(label).strip() for label in labels if label)
        return tuple(name for name in names if name and name not in self.ignored_genres)
