"""The table of items: what can be recommended."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

MOST_COMMON_GENRES = 9
"""How many genres are selected where nobody names them."""

# Controls other than white space, marks that turn the direction of text, byte order marks, soft hyphens, and
# spaces, joiners and operators without width: nobody sees them, a prompt that holds them reads otherwise than
# it looks, and equal titles differ by them. The joiners U+200C and U+200D stay: Persian and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u2069\ufeff]"
)


def clean_text(text: str) -> str:
    r"""Return the text in Unicode's NFC, without control and other characters that nobody sees.

    >>> clean_text("Ame\u0301lie\u202e\x07") == "Am\u00e9lie", clean_text("Heat\n")
    (True, 'Heat\n')
    """
    return (
        text
        if text.isascii() and text.isprintable()
        else unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    )


def normalise(title: str) -> str:
    r"""Return the spelling of a title that prompts, answers and catalogues share.

    White space (line breaks too) becomes single spaces and double quotes become single
    ones, so that a quoted title in a prompt ends where its closing quote stands. See `clean_text`, too.

    >>> normalise('The  "Real"\n Thing ')
    "The 'Real' Thing"
    """
    return " ".join(clean_text(title).replace('"', "'").split())


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
            repeated = next(t for i, t in enumerate(self.titles) if self.ids[t] != i)
            raise ValueError(f"title {repeated!r} names two items; merge them before building a catalogue")

    def __len__(self) -> int:
        return len(self.titles)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Item id by normalised title."""
        return {title: item for item, title in enumerate(self.titles)}

    def find(self, title: str) -> int | None:
        """Return the id of the item with this title, or None where there is none."""
        return self.ids.get(normalise(title))


def most_common_genres(
    item_genres: Iterable[Sequence[str]], count: int = MOST_COMMON_GENRES
) -> tuple[str, ...]:
    """Return the genres that most items have, the commonest first; of equals the first by name.

    >>> most_common_genres([["War", "Drama"], ["Drama"], ["Crime"]], 2)
    ('Drama', 'Crime')
    """
    counts = Counter(genre for genres in item_genres for genre in genres)
    return tuple(sorted(counts, key=lambda genre: (-counts[genre], genre))[:count])


def merge_titles(titles: Iterable[str], genres: Iterable[Iterable[str]]) -> tuple[Catalog, list[int], int]:
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


def number_duplicate_titles(
    titles: Iterable[str], genres: Iterable[Iterable[str]]
) -> tuple[Catalog, list[int], int]:
    """Return the catalogue of all rows, each row's item id, and how many titles got a number.

    The second row of a title becomes "Heat (2)", or takes the next number that no other title has.

    >>> catalog, ids, numbered = number_duplicate_titles(["Heat", "Heat", "Heat (2)"], [["Crime"], [], []])
    >>> catalog.titles, ids, numbered
    (('Heat', 'Heat (3)', 'Heat (2)'), [0, 1, 2], 1)
    """
    names = [normalise(title) for title in titles]
    used, seen = set(names), set[str]()
    # One counter per title keeps this linear where one title stands for thousands of items.
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
    titles = []
    for name in names:
        title = _next_free_title(name, numbers[name], used) if name in seen else name
        seen.add(name)
        titles.append(title)
    catalog = Catalog(tuple(titles), tuple(tuple(labels) for labels in genres))
    return catalog, list(range(len(titles))), len(names) - len(seen)


def _next_free_title(name: str, numbers: Iterator[int], used: set[str]) -> str:
    title = next(title for number in numbers if (title := f"{name} ({number})") not in used)
    used.add(title)
    return title


CatalogBuilder = Callable[[Iterable[str], Iterable[Iterable[str]]], tuple[Catalog, list[int], int]]
DUPLICATES: Mapping[str, CatalogBuilder] = {"merged": merge_titles, "numbered": number_duplicate_titles}
