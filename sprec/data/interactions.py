"""Who consumed what, and when: what readers of raw files return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

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

    `drops` counts what was left out or merged on the way, by reason.
    """

    frame: pl.DataFrame
    catalog: Catalog
    drops: Mapping[str, int] = field(default_factory=dict)


class InteractionReader(Protocol):
    """Reads one raw format."""

    def digest(self) -> str:
        """Return a SHA-256 hex of the source and of the reader's own settings."""

    def read(self) -> Interactions:
        """Return the interactions; raises `ValueError` naming file, line and field of a bad row."""
