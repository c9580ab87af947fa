"""Amazon reviews of one category, in the formats of 2014, 2018 and 2023 (McAuley lab)."""

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sprec.data.download.sources import find_file
from sprec.data.formats.interactions_table import InteractionFields, InteractionTableReader, epoch_time
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.formats.json_lines import TEXT, TEXTS, read_frames
from sprec.data.interactions import Interactions
from sprec.data.readers.raw_reader import RawReader
from sprec.data.repairs import repair_entities


@dataclass(frozen=True)
class AmazonFormat:
    """What one year's files are called, and what their fields are."""

    reviews: Sequence[str]
    metadata: str
    fields: InteractionFields
    item: str
    categories: str
    parse: Callable[[str], Any] = json.loads


REVIEWS = InteractionFields(
    user="reviewerID", item="asin", time="unixReviewTime", rating="overall", time_format=epoch_time(1)
)
# Metadata of 2023 are by parent alone: variants of a product, such as colours, share one.
REVIEWS_2023 = InteractionFields(
    user="user_id", item="parent_asin", time="timestamp", rating="rating", time_format=epoch_time(1000)
)
FORMATS: Mapping[int, AmazonFormat] = {
    2014: AmazonFormat(
        reviews=("reviews_{}_5.json", "reviews_{}.json"),
        metadata="meta_{}.json",
        fields=REVIEWS,
        item="asin",
        categories="categories",
        parse=ast.literal_eval,  # the metadata of 2014 is Python, its reviews are JSON
    ),
    2018: AmazonFormat(
        reviews=("{}_5.json", "{}.json"),
        metadata="meta_{}.json",
        fields=REVIEWS,
        item="asin",
        categories="category",
    ),
    2023: AmazonFormat(
        reviews=("{}.jsonl",),
        metadata="meta_{}.jsonl",
        fields=REVIEWS_2023,
        item="parent_asin",
        categories="categories",
    ),
}


@dataclass(frozen=True)
class Amazon(RawReader):
    """Reads the reviews and the metadata of a `category` such as "CDs_and_Vinyl" from a source's folder.

    `format` is the year of the release: 2014, 2018 or 2023. HTML entities in titles and genres are
    replaced. Items without a title are left out with their reviews, and so are, with `drop_html`, items
    whose title is a piece of a web page, and those of more than `words_max` words (0: no limit), as D3
    does (Bao et al. 2024). An item's genres are its categories without `ignored_genres`.
    """

    category: str
    format: Literal[2014, 2018, 2023]
    min_rating: float = 0.0
    words_max: int = 20
    drop_html: bool = True
    ignored_genres: Sequence[str] = ()

    def read(self) -> Interactions:
        """Return all reviews in file order.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        folder, layout = self.source.fetch(), FORMATS[self.format]
        metadata = find_file(folder, layout.metadata.format(self.category))
        events = find_file(folder, *(name.format(self.category) for name in layout.reviews))
        items = build_item_table(
            metadata,
            self._read_items(metadata, layout),
            duplicates=self.duplicates,
            words_max=self.words_max,
            drop_html=self.drop_html,
        )
        batches = read_frames(events, layout.fields.dtypes())
        return InteractionTableReader(events, layout.fields, items, self.min_rating).read(batches)

    def _read_items(self, path: Path, layout: AmazonFormat) -> Iterator[ItemRow]:
        fields: dict[str, pl.DataType] = {layout.item: TEXT, "title": TEXT, layout.categories: TEXTS}
        optional = ("title", layout.categories)
        for batch in read_frames(path, fields, optional=optional, parse=layout.parse):
            for line, key, title, labels in batch.select("line", *fields).iter_rows():
                yield ItemRow(line, key, repair_entities(title or ""), self._genres(labels or ()))

    def _genres(self, labels: Sequence[str]) -> tuple[str, ...]:
        names = dict.fromkeys(repair_entities(label).strip() for label in labels if label)
        return tuple(name for name in names if name and name not in self.ignored_genres)
