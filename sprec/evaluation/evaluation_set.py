"""A folder of released rows, read as the set that predictions are scored on.

`read_as_released` takes titles as SPRec's `evaluate.py` does, with what that costs: a regular expression
cuts titles that have quotes inside, and every text counts as a title. The catalogue in `eval/` was made by
it too, so the whole title of such a target is not in it: 13 of 10,654 rows on Goodreads, hence N' = 10,641.
`read_robustly` reads whole titles, and a text without a title recommends nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from sprec.data.catalog import merge_titles
from sprec.data.formats.released_folder import IGNORED_GENRES, ReleasedFolder, clean_title
from sprec.data.formats.released_rows import ReleasedRow, find_quoted
from sprec.data.repairs import is_fragment, is_html
from sprec.evaluation.metrics import genre_masses

Content = TypeVar("Content", bound=Mapping[str, Any])


@dataclass(frozen=True)
class EvaluationSet:
    """Test rows and catalogue under one way of reading titles.

    `titles[i]` and `genres[i]` belong to item `i`. A target of -1 is not in the catalogue. Titles of a
    history that are not in it are left out, except `other_titles`: their genres are known, at the end of
    `genres`, so they count in the histories' shares (GH) though nobody can recommend them. `titles_in`
    returns what a generated text may mean as its title, in the order to try; `spelling_of` is the
    catalogue's spelling of a title. MGU and DGU are over the `selected` genres.
    """

    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...]
    selected: tuple[str, ...]
    rows: tuple[ReleasedRow, ...]
    titles_in: Callable[[str], Sequence[str]]
    spelling_of: Callable[[str], str]
    other_titles: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> dict[str, int]:
        """Item id by the catalogue's spelling of a title."""
        return {title: item for item, title in enumerate(self.titles)}

    def find(self, title: str) -> int:
        """Return the id of the item with this title, -1 where the catalogue has none."""
        return self.ids.get(self.spelling_of(title), -1)

    def title_of(self, text: str) -> str | None:
        """Return the title that a generated text means, None where it holds none.

        That is the first of `titles_in` that the catalogue has, else what stands between the quotes.
        """
        titles = self.titles_in(text)
        in_catalog = (title for title in titles if self.find(title) >= 0)
        return next(in_catalog, titles[:2][-1] if titles else None)

    @cached_property
    def target(self) -> Int[np.ndarray, " rows"]:
        """Item id of each row's target."""
        return np.array([self.find(row.target) for row in self.rows])

    @cached_property
    def histories(self) -> list[list[int]]:
        """Item ids of each row's history."""
        ids = {title: len(self.titles) + i for i, title in enumerate(self.other_titles)} | self.ids
        spelled = ([self.spelling_of(title) for title in row.history] for row in self.rows)
        return [[ids[title] for title in history if title in ids] for history in spelled]

    @cached_property
    def masses(self) -> Float[np.ndarray, "items genres"]:
        """Genre masses of the items, see `genre_masses`."""
        return genre_masses(self.genres, self.selected)


def read_as_released(path: Path) -> EvaluationSet:
    """Return the test rows as the released code reads them, with the catalogue and genres of `eval/`.

    History titles are the strings that `"([^"]+)"` matches, targets lose all quotes at their ends.
    Raises `ValueError` where the folder has no test rows or no `eval/` files, or where they are faulty.
    """
    folder = ReleasedFolder(path)
    rows = tuple(
        ReleasedRow(tuple(find_quoted(_input_of(row), empty=False)), row.target.strip('"'), row.wording)
        for row in _test_rows(folder)
    )
    titles = tuple(_required(folder, "name2id.json", folder.mapping))
    by_title = _required(folder, "name2genre.json", folder.genres)
    known = set(titles)
    others = tuple(title for title in by_title if title not in known)
    genres = tuple(tuple(by_title.get(title, ())) for title in (*titles, *others))
    selected = folder.selected_genres(genres)
    return EvaluationSet(titles, genres, selected, rows, released_titles, str, others)


def read_robustly(path: Path) -> EvaluationSet:
    """Return the test rows with whole, repaired titles, and the genres of `title_genres.json`.

    The catalogue holds the titles of that file, of the rows, and of `name2id.json` where there is one,
    without pieces of web pages and what the regular expression left of cut titles.
    Raises `ValueError` where the folder has no test rows or no genres, or where they are faulty.
    """
    folder = ReleasedFolder(path)
    rows = tuple(_test_rows(folder))
    by_title = {
        title: [label for label in labels if label not in IGNORED_GENRES]
        for title, labels in _required(folder, "title_genres.json", folder.genres).items()
    }
    listed = [title for title in folder.mapping("name2id.json") or () if not is_fragment(title)]
    names = [*by_title, *listed, *(title for row in rows for title in (*row.history, row.target))]
    titles = {raw: clean_title(raw) for raw in dict.fromkeys(names)}
    usable = {raw: title for raw, title in titles.items() if title and not is_html(title)}
    catalog, _, _ = merge_titles(usable.values(), (by_title.get(raw, ()) for raw in usable))
    selected = folder.selected_genres(catalog.genres)
    return EvaluationSet(catalog.titles, catalog.genres, selected, rows, robust_titles, clean_title)


def released_titles(text: str) -> list[str]:
    r"""Return the one title that the released code reads from a generated text.

    It is the first quoted string, even where the quote is not closed; without a quote the first line;
    "NAN" where that is empty.

    >>> [released_titles(text)[0] for text in ('say "The "Real" Thing"', '"Hea', "Ran\n", "")]
    ['The ', 'Hea', 'Ran', 'NAN']
    """
    quoted = re.findall(r'"([^"]*)', text)
    return quoted[:1] or [text.split("\n")[0] or "NAN"]


def robust_titles(text: str) -> list[str]:
    r"""Return what the first line of a generated text may mean as its title, in the order to try.

    That is the line itself, as plain lists have it, then all between its first and its last quote, since
    titles have quotes inside, then its first quoted string; of a line with one quote, as an inch mark or what
    opens a title that was cut, the line without it. An empty text has none.

    >>> robust_titles('\n"The "Real" Thing"\nBecause of "Heat"'), robust_titles("Heat")
    (['"The "Real" Thing"', 'The "Real" Thing', 'The '], ['Heat'])
    >>> robust_titles('"Ran", "Heat"'), robust_titles("")
    (['"Ran", "Heat"', 'Ran", "Heat', 'Ran'], [])
    >>> robust_titles('Remix 12"'), robust_titles('"')
    (['Remix 12"', 'Remix 12'], [])
    """
    line = text.strip().split("\n")[0].strip()  # splitlines would cut at characters of mojibake
    start, end = line.find('"'), line.rfind('"')
    if end == start:
        titles = [line, line.strip('"')] if line != '"' else []
    else:
        titles = [line, line[start + 1 : end], *find_quoted(line)[:1]]
    return [title for title in dict.fromkeys(titles) if title]


def _input_of(row: ReleasedRow) -> str:
    """Return a row's `input` again, as it was before it was cut at `", "`."""
    quoted = '", "'.join(row.history)
    return row.wording.lead + (f'"{quoted}"' if quoted else "") + row.wording.close


def _test_rows(folder: ReleasedFolder) -> list[ReleasedRow]:
    if not (rows := folder.rows("test")):
        raise ValueError(f"test.json of {folder.path} is empty; name a folder of released rows")
    return rows


def _required(folder: ReleasedFolder, name: str, read: Callable[[str], Content | None]) -> Content:
    if (content := read(name)) is None:
        raise ValueError(f"{folder.path} has no {name} or {name}.gz; add it, or take the other --matching")
    return content
