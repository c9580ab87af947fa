"""The table of items: what can be recommended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property


def normalise(title: str) -> str:
    r"""Return the one spelling of a title that prompts, answers and catalogues share.

    White space (line breaks too) becomes single spaces and double quotes become single
    ones, so that a quoted title in a prompt ends where its closing quote stands.

    >>> normalise('The  "Real"\n Thing ')
    "The 'Real' Thing"
    """
    return " ".join(title.replace('"', "'").split())


@dataclass(frozen=True)
class Catalog:
    """Items by id: `titles[i]` and `genres[i]` belong to item `i`.

    Titles are normalised and unique; the constructor raises `ValueError` otherwise.
    """

    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len(self.titles) != len(self.genres):
            raise ValueError(f"{len(self.titles)} titles but {len(self.genres)} genre lists")
        if len(self.ids) != len(self.titles):
            twice = next(t for i, t in enumerate(self.titles) if self.ids[t] != i)
            raise ValueError(f"title {twice!r} names two items; merge them before building a catalogue")

    def __len__(self) -> int:
        return len(self.titles)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Item id by normalised title."""
        return {title: item for item, title in enumerate(self.titles)}

    def find(self, title: str) -> int | None:
        """Return the id of the item with this title, or None where there is none."""
        return self.ids.get(normalise(title))


def merge_titles(titles: Iterable[str], genres: Iterable[Sequence[str]]) -> tuple[Catalog, list[int], int]:
    """Return the catalogue of distinct titles, each row's item id, and how many rows were merged.

    Rows whose titles normalise alike become one item; its genres are the union in order of appearance.

    >>> catalog, ids, merged = merge_titles(["Heat", "Ran", "Heat "], [["Crime"], ["War"], ["Drama"]])
    >>> catalog.titles, catalog.genres, ids, merged
    (('Heat', 'Ran'), (('Crime', 'Drama'), ('War',)), [0, 1, 0], 1)
    """
    union: dict[str, dict[str, None]] = {}
    names = []
    for title, labels in zip(titles, genres, strict=True):
        name = normalise(title)
        names.append(name)
        union.setdefault(name, {}).update(dict.fromkeys(labels))
    catalog = Catalog(tuple(union), tuple(tuple(labels) for labels in union.values()))
    return catalog, [catalog.ids[name] for name in names], len(names) - len(catalog)
