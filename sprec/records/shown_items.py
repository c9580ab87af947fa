"""Items of a record, column by column: thousands of them are read in well under a millisecond."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Item:
    """An item: `genres` are those selected for MGU and DGU, `popularity` counts training interactions."""

    title: str
    genres: tuple[str, ...]
    popularity: int


@dataclass(frozen=True)
class Columns:
    """Items as `run.json` holds them: `genres[i]` is the place of item i's genres in `genre_sets`."""

    ids: tuple[int, ...]
    titles: tuple[str, ...]
    popularity: tuple[int, ...]
    genres: tuple[int, ...]
    genre_sets: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len({len(each) for each in (self.ids, self.titles, self.popularity, self.genres)}) > 1:
            raise ValueError("field 'items' has columns of different lengths")
        if self.genres and not 0 <= min(self.genres) <= max(self.genres) < len(self.genre_sets):
            raise ValueError("field 'items.genres' names a set that is not in 'items.genre_sets'")


class Items(Mapping[str, Item]):
    """Items by id as text; each is made when it is asked for."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> Item:
        found, place = self._columns, self._places[name]
        return Item(found.titles[place], found.genre_sets[found.genres[place]], found.popularity[place])

    def __iter__(self) -> Iterator[str]:
        return map(str, self._columns.ids)

    def __len__(self) -> int:
        return len(self._columns.ids)

    def __repr__(self) -> str:
        return f"{len(self)} items"

    @cached_property
    def _places(self) -> dict[str, int]:
        return {str(item): place for place, item in enumerate(self._columns.ids)}


def columns(items: Mapping[str, Item]) -> Columns:
    """Return items as columns, by id.

    >>> columns({"7": Item("Heat", ("Crime",), 3), "2": Item("Ran", (), 5)}).titles
    ('Ran', 'Heat')
    """
    known = sorted(((int(name), item) for name, item in items.items()), key=lambda pair: pair[0])
    sets = {genres: place for place, genres in enumerate(sorted({item.genres for _, item in known}))}
    return Columns(
        ids=tuple(number for number, _ in known),
        titles=tuple(item.title for _, item in known),
        popularity=tuple(item.popularity for _, item in known),
        genres=tuple(sets[item.genres] for _, item in known),
        genre_sets=tuple(sets),
    )
