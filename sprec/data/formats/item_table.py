"""Tables of items of any format: which become catalogue items, and why the others do not."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sprec.data.catalog import DUPLICATES, Catalog, clean_text, normalise
from sprec.data.repairs import is_html

log = logging.getLogger(__name__)

REASONS = {
    "unlisted": "the item table does not list it",
    "no_title": "field 'title' is missing",
    "html_title": "field 'title' is a piece of a web page",
    "long_title": "field 'title' has too many words",
}
"""Why an interaction's item is left out; the order gives their codes, see `ItemTable`."""
CODES = {reason: -1 - place for place, reason in enumerate(REASONS)}


@dataclass(frozen=True)
class ItemRow:
    """One row of an item table: its line, the raw file's own id, title and genres."""

    line: int
    key: str
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class ItemTable:
    """A catalogue, and the code of each raw id: a catalogue id, or a code below 0 of `CODES`.

    `drops` counts titles that were merged or got a number, ids that were listed again (the first row counts),
    and items whose title or genres lost invisible characters or another encoding of accents.
    """

    path: Path
    catalog: Catalog
    codes: Mapping[str, int]
    drops: Mapping[str, int]

    def code_of(self, key: str) -> int:
        """Return the code of a raw id, that of "unlisted" where the table lacks it."""
        return self.codes.get(key, CODES["unlisted"])


def build_item_table(
    path: Path,
    items: Iterable[ItemRow],
    *,
    duplicates: str = "merged",
    words_max: int = 0,
    drop_html: bool = False,
) -> ItemTable:
    """Return the catalogue of the items with a usable title.

    An id that is listed again keeps its first row. Each reason to leave items out is logged once, with
    file, line and field of its first case.

    Args:
        path: the file, for messages.
        items: its rows in order.
        duplicates: a key of `DUPLICATES`, which says what becomes of items of one title.
        words_max: items with longer titles are left out; 0 means no limit.
        drop_html: whether items whose title is a piece of a web page are left out.
    """
    usable: dict[str, ItemRow] = {}
    left_out: dict[str, tuple[str, int]] = {}
    repeated = cleaned = 0
    for item in items:
        if item.key in usable or item.key in left_out:
            repeated += 1
            continue
        cleaned += any(clean_text(text) != text for text in (item.title, *item.genres))
        if reason := _reason_to_leave_out(item.title, words_max=words_max, drop_html=drop_html):
            left_out[item.key] = reason, item.line
        else:
            usable[item.key] = item
    _log_left_out(path, list(left_out.values()))
    rows = list(usable.values())
    catalog, ids, shared = DUPLICATES[duplicates](
        (item.title for item in rows), (map(clean_text, item.genres) for item in rows)
    )
    if shared:
        _log_shared_title(path, rows, shared, duplicates)
    codes = {key: CODES[reason] for key, (reason, _) in left_out.items()}
    codes |= dict(zip(usable, ids, strict=True))
    drops = {f"{duplicates}_titles": shared, "repeated_ids": repeated, "cleaned_items": cleaned}
    return ItemTable(path, catalog, codes, drops)


def _reason_to_leave_out(title: str, *, words_max: int, drop_html: bool) -> str | None:
    if not normalise(title):  # marks that nobody sees are no title
        return "no_title"
    if drop_html and is_html(title):
        return "html_title"
    return "long_title" if words_max and len(title.split()) > words_max else None


def _log_left_out(path: Path, left_out: Sequence[tuple[str, int]]) -> None:
    counts = Counter(reason for reason, _ in left_out)
    for reason, line in left_out:
        if n := counts.pop(reason, 0):
            log.warning("%s:%d: %s (first of %d items left out)", path, line, REASONS[reason], n)


def _log_shared_title(path: Path, rows: Sequence[ItemRow], shared: int, duplicates: str) -> None:
    seen: dict[str, int] = {}
    for item in rows:
        name = normalise(item.title)
        if name in seen:
            fault = f"field 'title' is {name!r}, as in line {seen[name]}"
            log.warning("%s:%d: %s (first of %d that are %s)", path, item.line, fault, shared, duplicates)
            return
        seen[name] = item.line
