"""A folder of released rows, read as what predictions are scored against.

`released` takes titles as SPRec's `evaluate.py` does, with what that costs: a regular expression cuts
titles that have quotes inside. The catalogue in `eval/` was made by it too, so the whole title of such
a target is not in it: 13 of 10,654 rows on Goodreads, hence N' = 10,641. `robust` reads whole titles.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sprec.data.catalog import merge_titles, normalise
from sprec.data.formats.released_rows import Row, parse_released, read_json, read_rows
from sprec.data.repairs import is_fragment, is_html, repair_entities, repair_mojibake
from sprec.evaluation.metrics import genre_masses

COMMON_GENRES = 9
"""How many genres are selected where a folder has no `eval/genre_dict.json`."""


@dataclass(frozen=True)
class Reading:
    """Test rows and catalogue under one way of reading titles.

    `titles[i]` and `genres[i]` belong to item `i`. A target of -1 is not in the catalogue; titles of a
    history that are not in it are left out. `title_of` takes a generated text to the title it names,
    `spelled` a title to the catalogue's spelling. MGU and DGU are over the genres in `selected`.
    """

    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...]
    selected: tuple[str, ...]
    rows: tuple[Row, ...]
    title_of: Callable[[str], str]
    spelled: Callable[[str], str]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Item id by the catalogue's spelling of a title."""
        return {title: item for item, title in enumerate(self.titles)}

    def find(self, title: str) -> int:
        """Return the id of the item with this title, -1 where the catalogue has none."""
        return self.ids.get(self.spelled(title), -1)

    @cached_property
    def target(self) -> Int[np.ndarray, " rows"]:
        """Item id of each row's target."""
        return np.array([self.find(row.target) for row in self.rows])

    @cached_property
    def histories(self) -> list[list[int]]:
        """Item ids of each row's history."""
        found = [[self.find(title) for title in row.history] for row in self.rows]
        return [[item for item in history if item >= 0] for history in found]

    @cached_property
    def masses(self) -> Float[np.ndarray, "items genres"]:
        """Genre masses of the items, see `genre_masses`."""
        return genre_masses(self.genres, self.selected)


def released(folder: Path) -> Reading:
    """Return the test rows as the released code reads them, with the catalogue and genres of `eval/`.

    History titles are the strings that `"([^"]+)"` finds, targets lose all quotes at their ends.
    Raises `ValueError` where the folder has no test rows or no `eval/` files, or where they are faulty.
    """
    found = _test_rows(folder)
    titles = tuple(_needed(folder / "eval", "name2id.json"))
    labels = _labels(folder / "eval", "name2genre.json")
    genres = [tuple(labels.get(title, ())) for title in titles]
    rows = [
        Row(tuple(parse_released(_shown(row), empty=False)), row.target.strip('"'), row.wording)
        for row in found
    ]
    return Reading(titles, tuple(genres), _selected(folder, genres), tuple(rows), first_quoted, str)


def robust(folder: Path) -> Reading:
    """Return the test rows with whole, repaired titles, and the genres of `title_genres.json`.

    The catalogue holds the titles of that file, of the rows, and of `eval/name2id.json` where there is
    one, without pieces of web pages and what the regular expression left of cut titles.
    Raises `ValueError` where the folder has no test rows or no genres, or where they are faulty.
    """
    rows = tuple(_test_rows(folder))
    labels = _labels(folder, "title_genres.json")
    listed = [title for title in _optional(folder / "eval", "name2id.json") or () if not is_fragment(title)]
    names = [*labels, *listed, *(title for row in rows for title in (*row.history, row.target))]
    kept = [name for name in dict.fromkeys(names) if _spelled(name) and not is_html(_spelled(name))]
    catalog, _, _ = merge_titles(map(_spelled, kept), (labels.get(name, ()) for name in kept))
    return Reading(
        catalog.titles, catalog.genres, _selected(folder, catalog.genres), rows, whole_title, _spelled
    )


def first_quoted(text: str) -> str:
    r"""Return the first quoted string of a generated text, "" where there is none (released).

    >>> first_quoted('"The "Real" Thing"\nBecause')
    'The '
    """
    return next(iter(parse_released(text)), "")


def whole_title(text: str) -> str:
    r"""Return what stands between the first and the last quote of a generated text's first line.

    A line without a pair of quotes is its own title, an empty text has the title "".

    >>> whole_title('\n"The "Real" Thing"\nBecause of "Heat"'), whole_title("Heat")
    ('The "Real" Thing', 'Heat')
    """
    line = next(iter(text.strip().splitlines()), "")
    start, end = line.find('"'), line.rfind('"')
    return line[start + 1 : end] if end > start else line.strip('"')


def _spelled(title: str) -> str:
    return normalise(repair_entities(repair_mojibake(title)))


def _shown(row: Row) -> str:
    """Return a row's `input` again, as it was before it was cut at `", "`."""
    return (
        row.wording.lead + (f'"{quoted}"' if (quoted := '", "'.join(row.history)) else "") + row.wording.close
    )


def _test_rows(folder: Path) -> list[Row]:
    path = _file(folder, "test.json")
    rows = list(read_rows(path)) if path else []
    if not rows:
        where = f"{path} is empty" if path else f"{folder} has no test.json or test.json.gz"
        raise ValueError(f"no test rows: {where}; name a folder of released rows")
    return rows


def _labels(folder: Path, name: str) -> Mapping[str, Sequence[str]]:
    """Return the genres by title."""
    labels = _needed(folder, name)
    for title, genres in labels.items():
        if not isinstance(genres, list):
            raise ValueError(f"{folder / name}: {title!r} has no list of genres but {genres!r}; write a list")
    return labels


def _needed(folder: Path, name: str) -> Mapping[str, Any]:
    found = _optional(folder, name)
    if found is None:
        raise ValueError(f"{folder} has no {name} or {name}.gz; add it, or take the other --matching")
    return found


def _optional(folder: Path, name: str) -> Mapping[str, Any] | None:
    path = _file(folder, name)
    if path is None:
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object; it must map titles or genres to values")
    return content


def _file(folder: Path, name: str) -> Path | None:
    """Return the file of this name in the folder, packed or not, None where there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _selected(folder: Path, genres: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the selected genres, or those that most items have; of equals the first by name."""
    if (chosen := _optional(folder / "eval", "genre_dict.json")) is not None:
        return tuple(chosen)
    counts = Counter(label for labels in genres for label in labels)
    return tuple(sorted(counts, key=lambda label: (-counts[label], label))[:COMMON_GENRES])
