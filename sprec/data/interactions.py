"""Who consumed what, and when: what readers of raw files return."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import polars as pl

from sprec.data.catalog import Catalog

INTERACTION_SCHEMA: dict[str, type[pl.DataType]] = {
    "user": pl.Int64,
    "item": pl.Int32,
    "time": pl.Float64,  # a fraction orders events within a second, exact to a microsecond
    "rating": pl.Float64,
}


@dataclass(frozen=True)
class Interactions:
    """One row per interaction, in the raw file's order; `time` in seconds since 1970, `item` a catalogue id.

    `drops` counts what was left out or merged on the way, by reason. `events_file` and `items_file` name the
    files that the two tables came from, for error messages.
    """

    frame: pl.DataFrame
    catalog: Catalog
    drops: Mapping[str, int] = field(default_factory=dict)
    events_file: str = "interactions"
    items_file: str = "items"

    def restrict_to(self, frame: pl.DataFrame) -> "Interactions":
        """Return these interactions alone, and a catalogue of the items that occur in them."""
        present = frame["item"].unique().sort().to_numpy()
        ids = np.full(len(self.catalog), -1, np.int32)
        ids[present] = np.arange(len(present), dtype=np.int32)
        titles = tuple(self.catalog.titles[item] for item in present)
        catalog = Catalog(titles, tuple(self.catalog.genres[item] for item in present))
        renumbered = frame.with_columns(pl.Series("item", ids[frame["item"].to_numpy()]))
        return replace(self, frame=renumbered, catalog=catalog)


class InteractionReader(Protocol):
    """Reads one raw format."""

    def digest(self) -> str:
        """Return a SHA-256 hex of the source and of the reader's own settings."""

    def read(self) -> Interactions:
        """Return the interactions; raises `ValueError` naming file, line and field of a bad row."""
