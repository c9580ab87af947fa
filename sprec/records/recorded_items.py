"""The items of a record, stored column by column so that thousands load in under a millisecond."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class RecordedItem:
    """An item: `genres` are those selected for MGU and DGU, `popularity` counts training interactions."""

    title: str
    genres: tuple[str, ...]
    popularity: int


@dataclass(frozen=True)
class ItemColumns:
    """Items as `run.json` holds them: item i has the genres `genre_sets[genres[i]]`."""

    ids: tuple[int, ...]
    titles: tuple[str, ...]
    popularity: tuple[int, ...]
    genres: tuple[int, ...]
    genre_sets: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len({len(column) for column in (self.ids, self.titles, self.popularity, self.genres)}) > 1:
            raise ValueError("field 'items' has columns of different lengths")
        if self.genres and not 0 <= min(self.genres) <= max(self.genres) < len(self.genre_sets):
            raise ValueError("field 'items.genres' names a set that is not in 'items.genre_sets'")


class RecordedItems(Mapping[str, RecordedItem]):
    """Items by id as text; each object is built only when it is looked up."""

    def __init__(self, columns: ItemColumns) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> RecordedItem:
        columns, row = self._columns, self._rows[name]
        genres = columns.genre_sets[columns.genres[row]]
        return RecordedItem(columns.titles[row], genres, columns.popularity[row])

    def __iter__(self) -> Iterator[str]:
        return map(str, self._columns.ids)

    def __len__(self) -> int:
        return len(self._columns.ids)

    def __repr__(self) -> str:
        return f"{len(self)} items"

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {str(item): row for row, item in enumerate(self._columns.ids)}


def to_columns(items: Mapping[str, RecordedItem]) -> ItemColumns:
    """Return items as columns, sorted by id.

    >>> to_columns({"7": RecordedItem("Heat", ("Crime",), 3), "2": RecordedItem("Ran", (), 5)}).titles
    ('Ran', 'Heat')
    """
    by_id = sorted(((int(name), item) for name, item in items.items()), key=lambda pair: pair[0])
    # Sorted, so that the same items give the same text.
    genre_sets = {genres: row for row, genres in enumerate(sorted({item.genres for _, item in by_id}))}
    return ItemColumns(
        ids=tuple(number for number, _ in by_id),
        titles=tuple(item.title for _, item in by_id),
        popularity=tuple(item.popularity for _, item in by_id),
        genres=tuple(genre_sets[item.genres] for _, item in by_id),
        genre_sets=tuple(genre_sets),
    )
