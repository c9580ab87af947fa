"""The item tables of the MovieLens editions: id, title, genres."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sprec.data.formats.delimited import header_of, header_positions, require_width, rows, text_lines

NO_GENRE = {"", "unknown", "(no genres listed)"}
FLAGS = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi"),
    *("Thriller", "War", "Western"),
]


@dataclass(frozen=True)
class Movie:
    """One row of an item table: the raw file's own number, and the line that it stands in."""

    line: int
    number: int
    title: str
    genres: tuple[str, ...]


def recbole_movies(path: Path) -> Iterator[Movie]:
    """Yield the movies of RecBole's .item file, the year put behind the name as in "Heat (1995)"."""
    names = {"number": "item_id:token", "title": "movie_title:token_seq"}
    names |= {"year": "release_year:token", "genres": "class:token_seq"}
    where = header_positions(path, header := header_of(path, "\t"), names)
    for line, fields in rows(path, "\t", width=len(header), skip=1):
        number, title, year, genres = (fields[where[name]] for name in names)
        # The year of a video is "V": its title has the year already.
        dated = f"{title} ({year})" if re.fullmatch(r"\d{4}", year) else title
        yield _movie(path, line, number, dated, genres.split(" "))


def flag_movies(path: Path) -> Iterator[Movie]:
    """Yield the movies of 100k's u.item: separated by |, Latin-1, one flag per genre."""
    for line, fields in rows(path, "|", width=5 + len(FLAGS), encoding="latin-1"):
        genres = [name for name, flag in zip(FLAGS, fields[5:], strict=True) if flag == "1"]
        yield _movie(path, line, fields[0], fields[1], genres)


def csv_movies(path: Path) -> Iterator[Movie]:
    """Yield the movies of a movies.csv with header; titles may hold commas, quotes and line breaks."""
    names = {"number": "movieId", "title": "title", "genres": "genres"}
    table = csv.reader(line for _, line in text_lines(path))
    header = [name.removeprefix("\ufeff") for name in next(table, [])]
    where = header_positions(path, header, names)
    for fields in table:
        require_width(fields, len(header), f"{path}:{table.line_num}")
        number, title, genres = (fields[where[name]] for name in names)
        yield _movie(path, table.line_num, number, title, genres.split("|"))


def double_colon_movies(path: Path, *, encoding: str) -> Iterator[Movie]:
    """Yield the movies of a movies.dat: number::title::genres, where a title may hold colons."""
    for line, text in text_lines(path, encoding):
        number, _, rest = text.rstrip("\r\n").partition("::")
        title, separator, genres = rest.rpartition("::")
        require_width([number, title, genres] if separator else [number], 3, f"{path}:{line}")
        yield _movie(path, line, number, title, genres.split("|"))


def _movie(path: Path, line: int, number: str, title: str, genres: Iterable[str]) -> Movie:
    if not (number.isascii() and number.isdigit()):
        raise ValueError(
            f"{path}:{line}: field 'item' is {number[:40]!r}, expected a number; correct this line"
        )
    return Movie(line, int(number), title.strip(), tuple(name for name in genres if name not in NO_GENRE))
