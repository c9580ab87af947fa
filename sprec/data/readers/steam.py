"""Steam reviews and games, as UCSD publishes them (Kang & McAuley 2018; Pathak et al. 2017)."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sprec.data.download.sources import find_file
from sprec.data.formats.interactions_table import InteractionFields, InteractionTableReader, text_time
from sprec.data.formats.item_table import ItemRow, build_item_table
from sprec.data.formats.json_lines import TEXT, TEXTS, read_frames
from sprec.data.interactions import Interactions
from sprec.data.readers.raw_reader import RawReader
from sprec.data.repairs import repair_entities

FIELDS = InteractionFields(
    user="username",
    item="product_id",
    time="date",
    rating=None,
    time_format=text_time("%Y-%m-%d", example="2017-12-17"),
)
GAMES: dict[str, pl.DataType] = {"id": TEXT, "app_name": TEXT, "title": TEXT, "genres": TEXTS}


@dataclass(frozen=True)
class Steam(RawReader):
    """Reads steam_reviews.json and steam_games.json, a Python dict per line.

    A game's title is its `app_name`, or its `title` where it has none; HTML entities are replaced.
    Reviews have a day and no hour: those of one user and day keep the file's order. `duplicates` says
    what becomes of games of one title.
    """

    def read(self) -> Interactions:
        """Return all reviews in file order, without ratings.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        folder = self.source.fetch()
        games, events = find_file(folder, "steam_games.json"), find_file(folder, "steam_reviews.json")
        items = build_item_table(games, _read_games(games), duplicates=self.duplicates)
        batches = read_frames(events, FIELDS.dtypes(), parse=ast.literal_eval)
        return InteractionTableReader(events, FIELDS, items).read(batches)


def _read_games(path: Path) -> Iterator[ItemRow]:
    for batch in read_frames(path, GAMES, optional=tuple(GAMES), parse=ast.literal_eval):
        # Two of the published games have no id, so no review can name them.
        for line, key, app, title, genres in batch.filter(pl.col("id").is_not_null()).iter_rows():
            labels = tuple(map(repair_entities, genres or ()))
            yield ItemRow(line, key, repair_entities(app or title or ""), labels)
