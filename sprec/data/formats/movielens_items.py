"""The item tables of the MovieLens editions: id, title, genres."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sprec.data.formats.delimited import (
    check_width,
    find_columns,
    read_csv_records,
    read_header,
    read_lines,
    split_lines,
)
from sprec.data.formats.item_table import ItemRow

# 100k holds one row without a title, with 9 ratings; RecBole spells its placeholder "unkonwn".
NO_TITLE = {"", "unknown", "unkonwn"}
NO_GENRE = {"", "unknown", "(no genres listed)"}
FLAGS = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary"),
    *("Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi"),
    *("Thriller", "War", "Western"),
]


def read_recbole_movies(path: Path) -> Iterator[ItemRow]:
    """Yield the movies of RecBole's .item file, the year put behind the name as in "Heat (1995)"."""
    names = {"number": "item_id:token", "title": "movie_title:token_seq"}
    names |= {"year": "release_year:token", "genres": "class:token_seq"}
    columns = find_columns(path, header := read_header(path, "\t"), names)
    for line, fields in split_lines(path, "\t", width=len(header), skip=1):
        number, title, year, genres = (fields[columns[name]] for name in names)
        # The year of a video is "V": its title has the year already.
        dated = f"{title} ({year})" if re.fullmatch(r"\d{4}", year) else title
        yield _item_row(path, line, number, dated, genres.split(" "))


def read_flag_movies(path: Path) -> Iterator[ItemRow]:
    """Yield the movies of 100k's u.item: separated by |, Latin-1, one flag per genre."""
    for line, fields in split_lines(path, "|", width=5 + len(FLAGS), encoding="latin-1"):
        genres = [name for name, flag in zip(FLAGS, fields[5:], strict=True) if flag == "1"]
        yield _item_row(path, line, fields[0], fields[1], genres)


def read_csv_movies(path: Path) -> Iterator[ItemRow]:
    """Yield the movies of a movies.csv with header; titles may hold commas, quotes and line breaks."""
    names = {"number": "movieId", "title": "title", "genres": "genres"}
    records = read_csv_records(path)
    _, header = next(records, (1, [""]))
    columns = find_columns(path, header, names)
    for line, fields in records:
        check_width(fields, len(header), f"{path}:{line}")
        number, title, genres = (fields[columns[name]] for name in names)
        yield _item_row(path, line, number, title, genres.split("|"))


def read_double_colon_movies(path: Path, *, encoding: str) -> Iterator[ItemRow]:
    """Yield the movies of a movies.dat: number::title::genres, where a title may hold colons."""
    for line, text in read_lines(path, encoding):
        number, _, rest = text.rstrip("\r\n").partition("::")
        title, separator, genres = rest.rpartition("::")
        check_width([number, title, genres] if separator else [number], 3, f"{path}:{line}")
        yield _item_row(path, line, number, title, genres.split("|"))


def _item_row(path: Path, line: int, number: str, title: str, genres: Iterable[str]) -> ItemRow:
    if not (number.isascii() and number.isdigit()):
        raise ValueError(
            f"{path}:{line}: field 'item' is {number[:40]!r}, expected a number; correct this line"
        )
    title = "" if (title := title.strip()) in NO_TITLE else title
    return ItemRow(line, number, title, tuple(name for name in genres if name not in NO_GENRE))
