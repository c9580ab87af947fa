"""One object per line, JSON or Python: frames of the wanted fields, with file, line and field named."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from sprec.data.formats.delimited import decode, explain_damage, open_bytes
from sprec.progress import track

CHUNK_BYTES = 1 << 24
TEXT, NUMBER, TEXTS = pl.String(), pl.Float64(), pl.List(pl.String)
# polars writes what is no text as one: a list, an object, a truth value, a number with a fraction.
MAYBE_NO_TEXT = r"(?s)^(\[.*\]|\{.*\}|true|false|-?\d+(\.|[eE]).*)$"


def read_frames(
    path: Path,
    fields: Mapping[str, pl.DataType],
    *,
    optional: Collection[str] = (),
    parse: Callable[[str], Any] = json.loads,
) -> Iterator[pl.DataFrame]:
    """Yield frames of these fields and of `line`, one per 16 MiB of the file, packed or not.

    `fields` maps names to `TEXT` (a text or a whole number), `NUMBER` or `TEXTS`; other fields are skipped.
    A field that is `optional` may be null or missing. `parse` reads one line: JSON is read fast, anything
    else (such as `ast.literal_eval`) line by line. Raises `ValueError` naming file, line and field.
    """
    needed = [name for name in fields if name not in optional]
    parts = None if path.suffix == ".gz" else path.stat().st_size // CHUNK_BYTES + 1
    for first, data in track(_chunks(path), f"reading {path.name}, parts of 16 MB", parts):
        frame = _read_ndjson(data, fields, first) if parse is json.loads else None
        if frame is None or any(frame[name].null_count() for name in needed):
            frame = _read_line_by_line(path, data, fields, first, needed=needed, parse=parse)
        yield frame


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the first line, and whole lines."""
    first = 1
    with open_bytes(path) as stream, explain_damage(path):
        while data := stream.read(CHUNK_BYTES):
            data += stream.readline()
            yield first, data
            first += data.count(b"\n")


def _read_ndjson(data: bytes, fields: Mapping[str, pl.DataType], first: int) -> pl.DataFrame | None:
    try:
        frame = pl.read_ndjson(BytesIO(data), schema=fields)
    except pl.exceptions.PolarsError:  # reading line by line says which line, and why
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    # polars skips blank lines, and then row numbers would not be line numbers.
    if frame.height != lines or any(_may_hold_no_text(frame[name]) for name in fields):
        return None
    return frame.with_row_index("line", offset=first)


def _may_hold_no_text(column: pl.Series) -> bool:
    """Tell whether a value may not have been a text, which only reading line by line can say."""
    if column.dtype == TEXTS:
        column = column.filter(column.list.len() > 0).explode()
        if column.null_count():
            return True
    return column.dtype == TEXT and bool(column.str.contains(MAYBE_NO_TEXT).any())


def _read_line_by_line(
    path: Path,
    data: bytes,
    fields: Mapping[str, pl.DataType],
    first: int,
    *,
    needed: Collection[str],
    parse: Callable[[str], Any],
) -> pl.DataFrame:
    rows = []
    # At line feeds alone, as lines are counted elsewhere: `splitlines` cuts at a carriage return too.
    for line, raw in enumerate(data.split(b"\n"), start=first):
        place = f"{path}:{line}"
        if text := decode(raw, "utf-8", place).removeprefix("\ufeff").strip():
            record = _parse_record(text, place, parse)
            rows.append([line, *(_convert(record, name, kind, place) for name, kind in fields.items())])
            _check_present(rows[-1][1:], fields, needed, place)
    return pl.DataFrame(rows, schema={"line": pl.UInt32, **fields}, orient="row")


def _parse_record(text: str, place: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        record = parse(text)
    except (ValueError, SyntaxError) as problem:
        reason = str(problem).splitlines()[0]
        raise ValueError(
            f"{place}: no object ({reason}); each line is one, correct or delete this one"
        ) from None
    if not isinstance(record, dict):
        raise ValueError(f"{place}: {text[:40]!r} is no object with fields; correct or delete this line")
    return record


def _convert(record: Mapping[str, Any], name: str, kind: pl.DataType, place: str) -> Any:
    raw = record.get(name)
    expected, convert = CONVERTERS[kind]
    try:
        return None if raw is None else convert(raw)
    except (TypeError, ValueError):
        fault = f"field {name!r} is {str(raw)[:40]!r}, expected {expected}"
        raise ValueError(f"{place}: {fault}; correct or delete this line") from None


def _check_present(
    values: list[Any], fields: Mapping[str, pl.DataType], needed: Collection[str], place: str
) -> None:
    for name, value in zip(fields, values, strict=True):
        if value is None and name in needed:
            raise ValueError(f"{place}: field {name!r} is missing; correct or delete this line")


def _text(raw: object) -> str:
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)  # polars, too, reads 5.0 as "5"
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise TypeError
    return str(raw)


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise TypeError
    return float(raw)  # what is no finite number is dropped or refused where fields are read


def _texts(raw: object) -> list[str]:
    """Return the texts of a list, or of the lists in it, as Amazon's 2014 categories are."""
    if not isinstance(raw, list):
        raise TypeError
    return [text for entry in raw for text in (_texts(entry) if isinstance(entry, list) else [_text(entry)])]


CONVERTERS: Mapping[pl.DataType, tuple[str, Callable[[object], Any]]] = {
    TEXT: ("a text", _text),
    NUMBER: ("a number", _number),
    TEXTS: ("a list of texts", _texts),
}
