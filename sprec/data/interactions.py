"""Who consumed what, and when: what readers of raw files return."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import polars as pl

from sprec.data.catalog import Catalog

COLUMNS: dict[str, type[pl.DataType]] = {
    "user": pl.Int64,
    "item": pl.Int32,
    "time": pl.Int64,
    "rating": pl.Float64,
}


@dataclass(frozen=True)
class Interactions:
    """One row per interaction, in the raw file's order; `time` in seconds, `item` a catalogue id.

    `drops` counts what was left out or merged on the way, by reason. `events` and `items` name the
    files that the two tables came from, for messages.
    """

    frame: pl.DataFrame
    catalog: Catalog
    drops: Mapping[str, int] = field(default_factory=dict)
    events: str = "interactions"
    items: str = "items"

    def only(self, frame: pl.DataFrame) -> "Interactions":
        """Return these interactions alone, and a catalogue of the items that occur in them."""
        there = frame["item"].unique().sort().to_numpy()
        ids = np.full(len(self.catalog), -1, np.int32)
        ids[there] = np.arange(len(there), dtype=np.int32)
        titles = tuple(self.catalog.titles[item] for item in there)
        catalog = Catalog(titles, tuple(self.catalog.genres[item] for item in there))
        renumbered = frame.with_columns(pl.Series("item", ids[frame["item"].to_numpy()]))
        return replace(self, frame=renumbered, catalog=catalog)


class InteractionReader(Protocol):
    """Reads one raw format."""

    def digest(self) -> str:
        """Return a SHA-256 hex of the source and of the reader's own settings."""

    def read(self) -> Interactions:
        """Return the interactions; raises `ValueError` naming file, line and field of a bad row."""
