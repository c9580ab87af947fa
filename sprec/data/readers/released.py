"""Datasets in SPRec's released row format: titles in, ids out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from sprec.data.catalog import Catalog, clean_text, merge_titles
from sprec.data.dataset import Dataset, check_genres, count_popularity
from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source
from sprec.data.examples import Example, Examples, Split, Wording
from sprec.data.formats.released_folder import IGNORED_GENRES, ReleasedFolder, clean_title
from sprec.data.formats.released_rows import ReleasedRow
from sprec.data.repairs import is_fragment, is_html, repair_entities, repair_mojibake
from sprec.data.splits import SPLIT_NAMES

DIGESTED_SETTINGS = ("name", "repair", "drop_html", "drop_repeats", "extend_catalog")


@dataclass(frozen=True)
class Released:
    """Reads train.json, valid.json, test.json (JSON list or lines, .gz or not) of a folder.

    The catalogue holds the titles of name2id.json, where there is one, and with `extend_catalog`
    those of the rows. `genres` are the selected ones: None takes the keys of genre_dict.json, or
    the nine that most items have. An item's genres come from the first of `genre_files` that knows
    any, without `ignored_genres`. `wording` None takes the texts of the first training
    row that is used, for all rows; those that have others are counted.

    Switches: `repair` undoes Latin-1 mojibake and HTML entities, `drop_html` leaves out titles
    that are pieces of web pages, `drop_repeats` leaves out rows whose target is in the history.
    """

    name: str
    source: Source
    wording: Wording | None = None
    genres: Sequence[str] | None = None
    genre_files: Sequence[str] = ("title_genres.json", "name2genre.json")
    ignored_genres: Sequence[str] = IGNORED_GENRES
    repair: bool = True
    drop_html: bool = True
    drop_repeats: bool = False
    extend_catalog: bool = True

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and all settings here."""
        settings = {key: getattr(self, key) for key in DIGESTED_SETTINGS}
        settings |= {key: list(getattr(self, key)) for key in ("genre_files", "ignored_genres")}
        settings["genres"] = None if self.genres is None else list(self.genres)
        settings["wording"] = asdict(self.wording) if self.wording else None
        return fingerprint("released", source=self.source.digest(), **settings)

    def build(self) -> Dataset:
        """Return the dataset; `split.drops` counts repaired, merged and dropped titles and rows.

        Raises `ValueError` naming file, row and field of a faulty row, or a split that is empty;
        `SourceError` where one of the three files is missing.
        """
        folder = ReleasedFolder(self.source.fetch())
        raw = {name: folder.rows(name) for name in SPLIT_NAMES}
        titles = _TitleCleaner(repair=self.repair, drop_html=self.drop_html)
        rows = {name: [titles.clean_row(row) for row in part] for name, part in raw.items()}
        catalog = self._catalog(folder, rows if self.extend_catalog else {}, titles)
        usable = {name: self._usable_rows(name, part, catalog, titles.counts) for name, part in rows.items()}
        # Of a usable row: one without titles has no close, and its whole input for a lead.
        wording = self.wording or usable["train"][0].wording
        split = self._split(usable, catalog, titles.counts, wording)
        genres = self._select_genres(folder, catalog)
        counts = count_popularity(split.train, items=len(catalog))
        return Dataset(self.name, catalog, split, counts, genres, wording, self.digest())

    def _catalog(
        self, folder: ReleasedFolder, rows: Mapping[str, Sequence[ReleasedRow]], titles: "_TitleCleaner"
    ) -> Catalog:
        listed = folder.mapping("name2id.json") or {}
        known = [title for title in listed if not is_fragment(title)]
        titles.counts["fragments"] = len(listed) - len(known)
        names = dict.fromkeys(name for title in known if (name := titles.clean(title)))
        names |= dict.fromkeys(
            title for part in rows.values() for row in part for title in (*row.history, row.target) if title
        )
        usable = [name for name in names if not (self.drop_html and is_html(name))]
        genres = self._genres(folder)
        catalog, _, _ = merge_titles(usable, (genres.get(name, ()) for name in usable))
        spellings = {raw for raw, name in titles.spellings.items() if name in catalog.ids}
        titles.counts["merged_titles"] = len(spellings) - len(set(map(titles.spellings.get, spellings)))
        return catalog

    def _genres(self, folder: ReleasedFolder) -> dict[str, tuple[str, ...]]:
        by_title: dict[str, tuple[str, ...]] = {}
        for name in reversed(self.genre_files):  # the first file overwrites those after it
            in_file: dict[str, dict[str, None]] = {}  # two spellings of one title have the genres of both
            for title, labels in (folder.genres(name) or {}).items():
                used = dict.fromkeys(label for label in labels if label not in self.ignored_genres)
                in_file.setdefault(clean_title(title, repair=self.repair), {}).update(used)
            by_title |= {title: tuple(genres) for title, genres in in_file.items() if genres}
        return by_title

    def _usable_rows(
        self, name: str, part: Sequence[ReleasedRow], catalog: Catalog, counts: Counter[str]
    ) -> list[ReleasedRow]:
        reasons = [self._reason_to_drop(row, catalog) for row in part]
        counts.update(f"{name}_{reason}" for reason in reasons if reason)
        usable = [row for row, reason in zip(part, reasons, strict=True) if not reason]
        if not usable:
            raise ValueError(
                f"the {name} split is empty: {len(part)} rows in {name}.json, none usable "
                f"({dict(counts)}); check that file, or loosen the switches"
            )
        return usable

    def _split(
        self,
        usable: Mapping[str, Sequence[ReleasedRow]],
        catalog: Catalog,
        counts: Counter[str],
        wording: Wording,
    ) -> Split:
        rows = [row for part in usable.values() for row in part]
        counts["off_catalog_titles"] += sum(t not in catalog.ids for row in rows for t in row.history)
        # Texts that the setting gives stand in for those of all rows.
        counts["other_wording"] += self.wording is None and sum(row.wording != wording for row in rows)
        parts = {
            name: Examples.from_rows([_to_example(row, catalog) for row in part])
            for name, part in usable.items()
        }
        return Split(parts["train"], parts["valid"], parts["test"], dict(sorted(counts.items())))

    def _reason_to_drop(self, row: ReleasedRow, catalog: Catalog) -> str | None:
        if not row.target:
            return "no_target"
        if row.target not in catalog.ids:
            return "html_target" if self.drop_html and is_html(row.target) else "off_catalog_target"
        if not any(title in catalog.ids for title in row.history):
            return "no_history"
        return "repeated_target" if self.drop_repeats and row.target in row.history else None

    def _select_genres(self, folder: ReleasedFolder, catalog: Catalog) -> tuple[str, ...]:
        selected = folder.selected_genres(catalog.genres) if self.genres is None else tuple(self.genres)
        check_genres(selected, catalog, self.name)
        return selected


class _TitleCleaner:
    """Cleans the titles of rows and counts what it repaired."""

    def __init__(self, *, repair: bool, drop_html: bool) -> None:
        self.repair, self.drop_html = repair, drop_html
        self.spellings: dict[str, str] = {}
        self.counts = Counter(
            dict.fromkeys(
                ("repaired_mojibake", "repaired_entities", "cleaned_titles", "empty_titles", "html_titles"), 0
            )
        )

    def clean(self, raw: str) -> str:
        """Return the catalogue's spelling of a raw title; each is computed once."""
        if raw not in self.spellings:
            self.spellings[raw] = clean_title(raw, repair=self.repair)
        return self.spellings[raw]

    def clean_row(self, row: ReleasedRow) -> ReleasedRow:
        """Return the row with clean titles, without empty ones and pieces of web pages."""
        self._count_repairs((*row.history, row.target))
        history = [self.clean(title) for title in row.history]
        self.counts["empty_titles"] += history.count("")
        pieces = [title for title in history if self.drop_html and is_html(title)]
        self.counts["html_titles"] += len(pieces)
        usable = tuple(title for title in history if title and title not in pieces)
        return replace(row, history=usable, target=self.clean(row.target))

    def _count_repairs(self, titles: Iterable[str]) -> None:
        for title in titles:
            if self.repair:
                fixed = repair_mojibake(title)
                self.counts["repaired_mojibake"] += fixed != title
                title, fixed = repair_entities(fixed), fixed
                self.counts["repaired_entities"] += title != fixed
            self.counts["cleaned_titles"] += clean_text(title) != title


def _to_example(row: ReleasedRow, catalog: Catalog) -> Example:
    history = tuple(catalog.ids[title] for title in row.history if title in catalog.ids)
    return Example(history, catalog.ids[row.target])
