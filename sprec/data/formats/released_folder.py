"""A folder of released rows: its files by name, its genres, and the catalogue's spelling of its titles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sprec.data.catalog import most_common_genres, normalise
from sprec.data.download.sources import SourceError, find_file
from sprec.data.formats.released_rows import ReleasedRow, read_json, read_rows
from sprec.data.repairs import repair_entities, repair_mojibake

IGNORED_GENRES = ("CDs & Vinyl",)
"""What the released data name nearly every item of a shop by, which tells no two of them apart."""


@dataclass(frozen=True)
class ReleasedFolder:
    """Files of a dataset in SPRec's released layout, at any depth, packed with gzip or not."""

    path: Path

    def rows(self, split: str) -> list[ReleasedRow]:
        """Return the rows of `train`, `valid` or `test`.

        Raises `ValueError` naming file and row of a faulty one, `SourceError` where there is no such file.
        """
        return list(read_rows(find_file(self.path, f"{split}.json")))

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        """Return the JSON object of a file, None where there is no such file."""
        try:
            path = find_file(self.path, name)
        except SourceError:
            return None
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError(f"{path} holds no JSON object; it must map titles or genres to values")
        return content

    def genres(self, name: str) -> Mapping[str, Sequence[str]] | None:
        """Return the genres by title of a file, None where there is no such file."""
        by_title = self.mapping(name)
        for title, genres in (by_title or {}).items():
            if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
                place = f"{find_file(self.path, name)}: {title!r}"
                raise ValueError(f"{place} has no list of genres but {genres!r}; write a list of texts")
        return by_title

    def selected_genres(self, item_genres: Iterable[Sequence[str]]) -> tuple[str, ...]:
        """Return the genres of `genre_dict.json`, or the commonest of the items where it is missing."""
        chosen = self.mapping("genre_dict.json")
        return most_common_genres(item_genres) if chosen is None else tuple(chosen)


def clean_title(title: str, *, repair: bool = True) -> str:
    """Return the catalogue's spelling of a title; with `repair`, without mojibake and HTML entities.

    >>> clean_title("AmÃ©lie  &amp; co")
    'Amélie & co'
    """
    return normalise(repair_entities(repair_mojibake(title)) if repair else title)
