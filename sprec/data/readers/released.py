"""Datasets in SPRec's released row format: titles in, ids out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sprec.data.catalog import Catalog, merge_titles, normalise
from sprec.data.dataset import Dataset, popularity, require_genres
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, SourceError, locate
from sprec.data.examples import Example, Examples, Split, Wording
from sprec.data.formats.released_rows import Row, parse_released, parse_row, read_json, read_rows
from sprec.data.repairs import is_fragment, is_html, repair_entities, repair_mojibake
from sprec.data.splits import NAMES

__all__ = ["Released", "parse_released", "parse_row", "read_rows"]

MOST_COMMON_GENRES = 9
SWITCHES = ("name", "repair", "drop_html", "drop_repeats", "extend_catalog")


@dataclass(frozen=True)
class Released:
    """Reads train.json, valid.json, test.json (JSON list or lines, .gz or not) of a folder.

    The catalogue holds the titles of name2id.json, where there is one, and with `extend_catalog`
    those of the rows. `genres` are the selected ones: None takes the keys of genre_dict.json, or
    the nine that most items have. An item's genres come from the first of `genre_files` that knows
    any, without `ignored_genres`. `wording` None takes the texts of the first training row.

    Switches: `repair` undoes Latin-1 mojibake and HTML entities, `drop_html` leaves out titles
    that are pieces of web pages, `drop_repeats` leaves out rows whose target is in the history.
    """

    name: str
    source: Source
    wording: Wording | None = None
    genres: Sequence[str] | None = None
    genre_files: Sequence[str] = ("title_genres.json", "name2genre.json")
    ignored_genres: Sequence[str] = ("CDs & Vinyl",)
    repair: bool = True
    drop_html: bool = True
    drop_repeats: bool = False
    extend_catalog: bool = True

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and all settings here."""
        settings = {key: getattr(self, key) for key in SWITCHES}
        settings |= {key: list(getattr(self, key)) for key in ("genre_files", "ignored_genres")}
        settings["genres"] = None if self.genres is None else list(self.genres)
        settings["wording"] = asdict(self.wording) if self.wording else None
        return fingerprint("released", source=self.source.digest(), **settings)

    def build(self) -> Dataset:
        """Return the dataset; `split.drops` counts repaired, merged and dropped titles and rows.

        Raises `ValueError` naming file, row and field of a faulty row, or a split that is empty;
        `SourceError` where one of the three files is missing.
        """
        folder = self.source.fetch()
        raw = {name: list(read_rows(locate(folder, f"{name}.json"))) for name in NAMES}
        titles = _Titles(repair=self.repair, drop_html=self.drop_html)
        rows = {name: [titles.clean_row(row) for row in part] for name, part in raw.items()}
        catalog = self._catalog(folder, rows if self.extend_catalog else {}, titles)
        split = self._split(rows, catalog, titles.counts)
        genres = self._selected(folder, catalog)
        counts = popularity(split.train, items=len(catalog))
        wording = self.wording or raw["train"][0].wording
        return Dataset(self.name, catalog, split, counts, genres, wording, self.digest())

    def _catalog(self, folder: Path, rows: Mapping[str, Sequence[Row]], titles: "_Titles") -> Catalog:
        listed = _optional(folder, "name2id.json")
        known = [title for title in (listed or {}) if not is_fragment(title)]
        titles.counts["fragments"] = len(listed or {}) - len(known)
        names = dict.fromkeys(name for title in known if (name := titles.clean(title)))
        names |= dict.fromkeys(
            title for part in rows.values() for row in part for title in (*row.history, row.target) if title
        )
        kept = [name for name in names if not (self.drop_html and is_html(name))]
        labels = self._genres(folder)
        catalog, _, _ = merge_titles(kept, (labels.get(name, ()) for name in kept))
        spellings = {raw for raw, name in titles.spellings.items() if name in catalog.ids}
        titles.counts["merged_titles"] = len(spellings) - len(set(map(titles.spellings.get, spellings)))
        return catalog

    def _genres(self, folder: Path) -> dict[str, tuple[str, ...]]:
        labels: dict[str, tuple[str, ...]] = {}
        for name in reversed(self.genre_files):
            for title, genres in (_optional(folder, name) or {}).items():
                if kept := tuple(genre for genre in genres if genre not in self.ignored_genres):
                    labels[_spelling(title, repair=self.repair)] = kept
        return labels

    def _split(self, rows: Mapping[str, Sequence[Row]], catalog: Catalog, counts: Counter[str]) -> Split:
        parts = {}
        for name, part in rows.items():
            reasons = [self._fault(row, catalog) for row in part]
            counts.update(f"{name}_{reason}" for reason in reasons if reason)
            kept = [row for row, reason in zip(part, reasons, strict=True) if not reason]
            if not kept:
                raise ValueError(
                    f"the {name} split is empty: {len(part)} rows in {name}.json, none usable "
                    f"({dict(counts)}); check that file, or loosen the switches"
                )
            counts["off_catalog_titles"] += sum(t not in catalog.ids for row in kept for t in row.history)
            parts[name] = Examples.of([_example(row, catalog) for row in kept])
        return Split(parts["train"], parts["valid"], parts["test"], dict(sorted(counts.items())))

    def _fault(self, row: Row, catalog: Catalog) -> str | None:
        if not row.target:
            return "no_target"
        if row.target not in catalog.ids:
            return "html_target" if self.drop_html and is_html(row.target) else "off_catalog_target"
        if not any(title in catalog.ids for title in row.history):
            return "no_history"
        return "repeated_target" if self.drop_repeats and row.target in row.history else None

    def _selected(self, folder: Path, catalog: Catalog) -> tuple[str, ...]:
        chosen = self.genres if self.genres is not None else _optional(folder, "genre_dict.json")
        if chosen is not None:
            require_genres(tuple(chosen), catalog, self.name)
            return tuple(chosen)
        counts = Counter(label for labels in catalog.genres for label in labels)
        ranked = sorted(counts, key=lambda label: (-counts[label], label))
        return tuple(ranked[:MOST_COMMON_GENRES])


class _Titles:
    """Cleans the titles of rows, and counts what it did."""

    def __init__(self, *, repair: bool, drop_html: bool) -> None:
        self.repair, self.drop_html = repair, drop_html
        self.spellings: dict[str, str] = {}
        self.counts = Counter(
            dict.fromkeys(("repaired_mojibake", "repaired_entities", "empty_titles", "html_titles"), 0)
        )

    def clean(self, raw: str) -> str:
        """Return the spelling that the catalogue uses, each raw one worked out once."""
        if raw not in self.spellings:
            self.spellings[raw] = _spelling(raw, repair=self.repair)
        return self.spellings[raw]

    def clean_row(self, row: Row) -> Row:
        """Return the row with clean titles, without empty ones and pieces of web pages."""
        self._count_repairs((*row.history, row.target))
        history = [self.clean(title) for title in row.history]
        self.counts["empty_titles"] += history.count("")
        pieces = [title for title in history if self.drop_html and is_html(title)]
        self.counts["html_titles"] += len(pieces)
        kept = tuple(title for title in history if title and title not in pieces)
        return replace(row, history=kept, target=self.clean(row.target))

    def _count_repairs(self, titles: Iterable[str]) -> None:
        for title in titles if self.repair else ():
            fixed = repair_mojibake(title)
            self.counts["repaired_mojibake"] += fixed != title
            self.counts["repaired_entities"] += repair_entities(fixed) != fixed


def _spelling(title: str, *, repair: bool) -> str:
    return normalise(repair_entities(repair_mojibake(title)) if repair else title)


def _example(row: Row, catalog: Catalog) -> Example:
    history = tuple(catalog.ids[title] for title in row.history if title in catalog.ids)
    return Example(history, catalog.ids[row.target])


def _optional(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the JSON object of a file that may be missing."""
    try:
        path = locate(folder, name)
    except SourceError:
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object; it must map titles (or genres) to values")
    return content
