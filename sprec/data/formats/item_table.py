"""Tables of items of any format: which become catalogue items, and why the others do not."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sprec.data.catalog import DUPLICATES, Catalog, normalise
from sprec.data.repairs import is_html

log = logging.getLogger(__name__)

Key = TypeVar("Key", int, str)
REASONS = ("unlisted", "no_title", "html_title", "long_title")
SAID = {
    "no_title": "field 'title' is missing",
    "html_title": "field 'title' is a piece of a web page",
    "long_title": "field 'title' has too many words",
}


@dataclass(frozen=True)
class Item(Generic[Key]):
    """One row of an item table: the line that it stands in, the raw file's own id, what it says."""

    line: int
    key: Key
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class Listed(Generic[Key]):
    """A catalogue, and the code of each raw id: a catalogue id, or below 0 why it is left out.

    Code -1 - n stands for `REASONS[n]`. `drops` counts titles that were merged or got a number.
    """

    path: Path
    catalog: Catalog
    codes: Mapping[Key, int]
    drops: Mapping[str, int]

    def code(self, key: Key) -> int:
        """Return the code of a raw id, that of "unlisted" where the table lacks it."""
        return self.codes.get(key, -1)


def listed(
    path: Path,
    items: Iterable[Item[Key]],
    *,
    duplicates: str = "merged",
    words_max: int = 0,
    drop_html: bool = False,
) -> Listed[Key]:
    """Return the catalogue of the items with a usable title.

    Left out are items without a title, with `drop_html` those whose title is a piece of a web
    page, and those of more than `words_max` words (0: no limit). An id that is listed again keeps
    its first row. `duplicates` is a key of `DUPLICATES`. Each reason is logged once, with file,
    line and field of its first case.
    """
    named: dict[Key, Item[Key]] = {}
    left_out: dict[Key, tuple[str, int]] = {}
    for item in items:
        if item.key in named or item.key in left_out:
            continue
        if reason := _fault(item.title, words_max=words_max, drop_html=drop_html):
            left_out[item.key] = reason, item.line
        else:
            named[item.key] = item
    _report(path, list(left_out.values()))
    rows = list(named.values())
    catalog, ids, shared = DUPLICATES[duplicates]((i.title for i in rows), (i.genres for i in rows))
    _report_shared(path, rows, shared, duplicates)
    codes = {key: -1 - REASONS.index(reason) for key, (reason, _) in left_out.items()}
    codes |= dict(zip(named, ids, strict=True))
    return Listed(path, catalog, codes, {f"{duplicates}_titles": shared})


def _fault(title: str, *, words_max: int, drop_html: bool) -> str | None:
    if not title.strip():
        return "no_title"
    if drop_html and is_html(title):
        return "html_title"
    return "long_title" if words_max and len(title.split()) > words_max else None


def _report(path: Path, left_out: Sequence[tuple[str, int]]) -> None:
    counts = Counter(reason for reason, _ in left_out)
    for reason, line in left_out:
        if n := counts.pop(reason, 0):
            log.warning("%s:%d: %s (first of %d items left out)", path, line, SAID[reason], n)


def _report_shared(path: Path, rows: Sequence[Item[Key]], shared: int, duplicates: str) -> None:
    seen: dict[str, int] = {}
    for item in rows if shared else ():
        name = normalise(item.title)
        if name in seen:
            fault = f"field 'title' is {name!r}, as in line {seen[name]}"
            way = duplicates.replace("_", " ")
            log.warning("%s:%d: %s (first of %d that are %s)", path, item.line, fault, shared, way)
            return
        seen[name] = item.line
