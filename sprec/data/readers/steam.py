"""Steam reviews and games, as UCSD publishes them (Kang & McAuley 2018; Pathak et al. 2017)."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sprec.data.catalog import require_duplicates
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, locate
from sprec.data.formats.interactions_table import EventReader, Fields, written
from sprec.data.formats.item_table import Item, listed
from sprec.data.formats.json_lines import TEXT, TEXTS, frames
from sprec.data.interactions import Interactions
from sprec.data.repairs import repair_entities

FIELDS = Fields(
    user="username",
    item="product_id",
    time="date",
    rating=None,
    clock=written("%Y-%m-%d", "2017-12-17"),
)
GAMES: dict[str, pl.DataType] = {"id": TEXT, "app_name": TEXT, "title": TEXT, "genres": TEXTS}


@dataclass(frozen=True)
class Steam:
    """Reads steam_reviews.json and steam_games.json, a Python dict per line.

    A game is called by its `app_name`, or by its `title` where it has none; HTML entities are
    replaced. Reviews have a day and no hour: those of one user and day keep the file's order.
    `duplicates` says what becomes of games of one title.
    """

    source: Source
    duplicates: str = "merged"

    def __post_init__(self) -> None:
        require_duplicates(self.duplicates)

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and this reader's settings."""
        return fingerprint("steam", source=self.source.digest(), duplicates=self.duplicates)

    def read(self) -> Interactions:
        """Return all reviews in file order, without ratings.

        Raises `ValueError` (`SourceError` where a file is missing) naming file, line and field.
        """
        folder = self.source.fetch()
        games, events = locate(folder, "steam_games.json"), locate(folder, "steam_reviews.json")
        items = listed(games, _games(games), duplicates=self.duplicates)
        return EventReader(events, FIELDS, items).read(frames(events, FIELDS.kinds(), parse=ast.literal_eval))


def _games(path: Path) -> Iterator[Item[str]]:
    for batch in frames(path, GAMES, optional=tuple(GAMES), parse=ast.literal_eval):
        # Two of the published games have no id; nothing can name them.
        for line, key, app, title, genres in batch.filter(pl.col("id").is_not_null()).iter_rows():
            labels = tuple(map(repair_entities, genres or ()))
            yield Item(line, key, repair_entities(app or title or ""), labels)
