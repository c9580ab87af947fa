"""Delimited tables, read fast, with file, line and field named where something is wrong."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

RATING_FIELDS = ("user", "item", "rating", "time")
# 1990 and 2100: times outside were almost certainly written in another unit than the expected one.
START_SECONDS = 631_152_000
END_SECONDS = 4_102_444_800


def open_bytes(path: Path) -> BinaryIO:
    """Return the file's bytes as a stream, unpacked where its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Yield line numbers from 1 and lines, their ends included.

    Raises `ValueError` naming the line that `encoding` cannot decode, or a packed file cut short.
    """
    with open_bytes(path) as stream, explain_damage(path):
        for number, raw in enumerate(stream, start=1):
            yield number, decode(raw, encoding, f"{path}:{number}")


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Turn errors of reading a damaged packed file into a `ValueError` that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise ValueError(f"{path} is damaged ({problem}); fetch the file anew") from None


def decode(raw: bytes, encoding: str, place: str) -> str:
    """Return the text of these bytes; raises `ValueError` naming the place and the first wrong byte."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as problem:
        byte = f"{raw[problem.start]:#04x}"
        raise ValueError(f"{place}: byte {byte} is not {encoding}; save the file as {encoding}") from None


def split_lines(
    path: Path, separator: str, *, width: int, skip: int = 0, encoding: str = "utf-8"
) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers from 1 and the `width` fields of each line after the first `skip`.

    Raises `ValueError` naming a line that has another number of fields.
    """
    for number, line in read_lines(path, encoding):
        fields = line.rstrip("\r\n").split(separator)
        if number > skip:
            check_width(fields, width, f"{path}:{number}")
            yield number, fields


def read_csv_records(path: Path, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each record of a CSV file begins, and its fields; blank lines are skipped.

    A quote within a field that does not begin with one stands for itself. Raises `ValueError` naming the
    first line of a record whose quotes are open or stand unpaired within it.
    """
    lines = (text.removeprefix("\ufeff") if number == 1 else text for number, text in read_lines(path))
    # Strict: otherwise a quote that is never closed takes all lines after it for one field.
    table = csv.reader(lines, delimiter=separator, strict=True)
    line = 1
    try:
        for fields in table:
            if fields:
                yield line, fields
            line = table.line_num + 1
    except csv.Error as problem:
        remedy = "close the quote that opens here and double those within it, or delete this line"
        if "new-line" in str(problem):
            remedy = "end lines with a line feed"
        raise ValueError(f"{path}:{line}: no CSV ({str(problem).partition(' -')[0]}); {remedy}") from None


def check_width(fields: Sequence[str], width: int, place: str) -> None:
    """Raise `ValueError` naming the place unless there are `width` fields."""
    if len(fields) != width:
        raise ValueError(f"{place}: {len(fields)} fields, expected {width}; correct or delete this line")


def find_columns(path: Path, header: Sequence[str], names: Mapping[str, str]) -> dict[str, int]:
    """Return where each wanted field stands; `names` maps our fields to the file's column names.

    Raises `ValueError` naming the column that the header lacks or has twice.
    """
    for name in names.values():
        if header.count(name) > 1:
            raise ValueError(f"{path}:1: the header has {name!r} twice; give each column a name of its own")
        if name not in header:
            columns, wanted = ", ".join(header)[:80], ", ".join(names.values())
            raise ValueError(f"{path}:1: no column {name!r} among {columns!r}; the header needs {wanted}")
    return {field: header.index(name) for field, name in names.items()}


def read_header(path: Path, separator: str) -> list[str]:
    """Return the fields of the first line; an empty file has one empty field."""
    first = next((line for _, line in read_lines(path)), "")
    return first.removeprefix("\ufeff").rstrip("\r\n").split(separator)


def read_ratings(path: Path, *, separator: str, names: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Return `line` and the columns user, item, rating and time of a delimited file, as text.

    `separator` is one character, perhaps repeated. `names` maps our fields to the names in the
    header; without it there is no header and the fields stand in the order above. Raises
    `ValueError` naming the line that has another number of fields, or a file without rows.
    """
    header = read_header(path, separator)
    columns = (
        find_columns(path, header, names) if names else {name: i for i, name in enumerate(RATING_FIELDS)}
    )
    # polars splits at single characters: "1::2" has an empty column between its two fields.
    fields = {position * len(separator): field for field, position in columns.items()}
    schema = {fields.get(n, str(n)): pl.String for n in range((len(header) - 1) * len(separator) + 1)}
    skip, frame = int(bool(names)), None
    # polars names no line, so only a file with a fault is read again, line by line.
    with suppress(pl.exceptions.PolarsError, OSError):
        frame = pl.read_csv(
            path,
            has_header=False,
            skip_rows=skip,
            separator=separator[0],
            quote_char=None,
            columns=sorted(fields),
            schema=schema,
        )
    if frame is None or frame.is_empty() or any(frame.null_count().row(0)):
        width = max(len(header), len(RATING_FIELDS))
        if not sum(1 for _ in split_lines(path, separator, width=width, skip=skip)):
            raise ValueError(f"{path} has no rows; fetch the file anew")
    if frame is None:
        raise ValueError(f"{path} cannot be read as fields separated by {separator!r}; fetch the file anew")
    return frame.select(RATING_FIELDS).with_row_index("line", offset=1 + skip)


def cast_columns(
    path: Path, frame: pl.DataFrame, dtypes: Mapping[str, pl.DataType], *, rating: str | None = None
) -> pl.DataFrame:
    """Return the frame with these columns in these types.

    Raises `ValueError` naming file, line (from the column `line`) and field of the first value that is
    missing, of another type, or no finite number; a `rating` may be "nan" or infinite.
    """
    for name, dtype in dtypes.items():
        raw = frame[name]
        typed = raw.cast(dtype, strict=False)
        usable = typed.is_finite() if dtype.is_float() and name != rating else typed.is_not_null()
        faulty = (~usable.fill_null(value=False)).arg_true()
        if len(faulty):
            value = "" if (first := raw[faulty[0]]) is None else str(first)[:40]
            expected = "a number" if dtype.is_numeric() else "a text"
            fault = f"field {name!r} is {value!r}, expected {expected}"
            raise ValueError(f"{path}:{frame['line'][faulty[0]]}: {fault}; correct or delete this line")
        frame = frame.with_columns(typed)
    return frame
