"""Delimited tables, read fast, with file, line and field named where something is wrong."""

import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

RATING_TYPES: dict[str, type[pl.DataType]] = {
    "user": pl.Int64,
    "item": pl.Int64,
    "rating": pl.Float64,
    "time": pl.Float64,
}
FIELDS = tuple(RATING_TYPES)
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


def check_width(fields: Sequence[str], width: int, place: str) -> None:
    """Raise `ValueError` naming the place unless there are `width` fields."""
    if len(fields) != width:
        raise ValueError(f"{place}: {len(fields)} fields, expected {width}; correct or delete this line")


def find_columns(path: Path, header: Sequence[str], names: Mapping[str, str]) -> dict[str, int]:
    """Return where each wanted field stands; `names` maps our fields to the file's column names.

    Raises `ValueError` naming the column that the header lacks.
    """
    for name in names.values():
        if name not in header:
            columns, wanted = ", ".join(header)[:80], ", ".join(names.values())
            raise ValueError(f"{path}:1: no column {name!r} among {columns!r}; the header needs {wanted}")
    return {field: header.index(name) for field, name in names.items()}


def read_header(path: Path, separator: str) -> list[str]:
    """Return the fields of the first line; an empty file has one empty field."""
    first = next((line for _, line in read_lines(path)), "")
    return first.removeprefix("\ufeff").rstrip("\r\n").split(separator)


def read_ratings(path: Path, *, separator: str, names: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Return the columns user, item, rating and time (seconds) of a delimited file, in its order.

    `separator` is one character, perhaps repeated. `names` maps our fields to the names in the
    header; without it there is no header and the fields stand in the order above. Raises
    `ValueError` naming file, line and field of the first value that is no finite number, or the
    first time before the year 1990 or after 2099.
    """
    columns = (
        find_columns(path, read_header(path, separator), names)
        if names
        else dict(zip(FIELDS, range(4), strict=True))
    )
    # polars reads fast but names no line: only a file with a fault is read again, line by line.
    frame = _parse_csv(path, separator, columns, skip=int(bool(names)))
    if frame is None or frame.is_empty() or not _is_sound(frame):
        raise ValueError(_describe_first_fault(path, separator, columns, skip=int(bool(names))))
    return frame.select(FIELDS).with_columns(pl.col("time").floor().cast(pl.Int64))


def _parse_csv(path: Path, separator: str, columns: Mapping[str, int], *, skip: int) -> pl.DataFrame | None:
    # polars splits at single characters: "1::2" has an empty column between its two fields.
    last = (len(read_header(path, separator)) - 1) * len(separator)
    fields = {position * len(separator): field for field, position in columns.items()}
    schema = {fields.get(n, str(n)): RATING_TYPES.get(fields.get(n, ""), pl.String) for n in range(last + 1)}
    try:
        return pl.read_csv(
            path,
            has_header=False,
            skip_rows=skip,
            separator=separator[0],
            quote_char=None,
            columns=sorted(fields),
            schema=schema,
        )
    except (pl.exceptions.PolarsError, OSError):
        return None


def _is_sound(frame: pl.DataFrame) -> bool:
    in_range = frame.select(
        pl.col("rating").is_finite().all(),
        pl.col("time").is_between(START_SECONDS, END_SECONDS, closed="left").all(),
    )
    return not any(frame.null_count().row(0)) and all(in_range.row(0))


def _describe_first_fault(path: Path, separator: str, columns: Mapping[str, int], *, skip: int) -> str:
    """Return what is wrong in the first faulty line, reading line by line."""
    width = len(read_header(path, separator))
    number = 0
    for number, fields in split_lines(path, separator, width=max(width, 4), skip=skip):
        for field, position in columns.items():
            if not _is_number(fields[position], whole=field in {"user", "item"}):
                fault = f"field {field!r} is {fields[position][:40]!r}, expected a number"
                return f"{path}:{number}: {fault}; correct or delete this line"
        if not START_SECONDS <= (time := float(fields[columns["time"]])) < END_SECONDS:
            fault = f"field 'time' is {fields[columns['time']][:40]}, expected seconds since 1970"
            unit = "milliseconds" if time >= END_SECONDS else "another unit"
            return f"{path}:{number}: {fault}; was it written in {unit}?"
    if not number:
        return f"{path} has no rows; fetch the file anew"
    return f"{path} cannot be read as numbers separated by {separator!r}; fetch the file anew"


def _is_number(text: str, *, whole: bool) -> bool:
    parse: Callable[[str], float] = int if whole else float
    try:
        return math.isfinite(parse(text))
    except ValueError:
        return False
