"""The released row format: `{"instruction", "input", "output"}`, titles in double quotes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sprec.data.examples import Wording
from sprec.data.formats.delimited import read_lines

FIELDS = ("instruction", "input", "output")
OTHER_SEPARATOR = re.compile(r'"\s*,\s*"')
"""Between quoted titles, where it is not `", "`: what is not cut there would be one item that nobody has."""


@dataclass(frozen=True)
class ReleasedRow:
    """The titles of one released row as they stand there, and the texts around them."""

    history: tuple[str, ...]
    target: str
    wording: Wording


def parse_row(instruction: str, text: str, output: str) -> ReleasedRow:
    r"""Return the titles of a row's input and output.

    The history is what stands between the first and the last quote of the input, cut at `", "`,
    so that quotes inside titles survive. The target loses white space and one outer pair of quotes.

    >>> parse_row("", 'before: "A "B" C", "D", ', '"T"\n').history
    ('A "B" C', 'D')
    """
    start, end = text.find('"'), text.rfind('"')
    history = tuple(text[start + 1 : end].split('", "')) if end > start else ()
    lead, close = (text[:start], text[end + 1 :]) if end > start else (text, "")
    return ReleasedRow(history, _strip_quotes(output.strip()), Wording(instruction, lead, close))


def find_quoted(text: str, *, empty: bool = True) -> list[str]:
    """Return the quoted strings of a text, by the released code's regular expression.

    It pairs quotes from the left, so titles with quotes inside are cut. `empty` says whether `""`
    counts as a title (the released `"([^"]*)"`) or not (`"([^"]+)"`).

    >>> find_quoted('"A", "" and "B "C""'), find_quoted('"" "A"', empty=False)
    (['A', '', 'B ', ''], [' '])
    """
    return re.findall(r'"([^"]*)"' if empty else r'"([^"]+)"', text)


def read_rows(path: Path) -> Iterator[ReleasedRow]:
    """Yield the rows of a JSON list or of JSON lines, packed with gzip or not.

    Raises `ValueError` naming file, row and field of what is no released row.
    """
    for number, record in enumerate(_iterate_records(path), start=1):
        fields = record if isinstance(record, dict) else {}
        for field in FIELDS:
            if not isinstance(fields.get(field), str):
                raise ValueError(
                    f"{path}: row {number} has no text {field!r}; a row needs {', '.join(FIELDS)}"
                )
        row = parse_row(*(fields[field] for field in FIELDS))
        for title in (*row.history, row.target):
            if OTHER_SEPARATOR.search(title):
                raise ValueError(
                    f"{path}: row {number} has no single title in {title[:60]!r}; "
                    "write a comma and one space between the titles of `input`, one title in `output`"
                )
        yield row


def read_json(path: Path) -> Any:
    """Return the content of one JSON file; raises `ValueError` naming file and line where it is none."""
    return _decode(path, "".join(line for _, line in read_lines(path)), line=1)


def _iterate_records(path: Path) -> Iterator[Any]:
    lines = ((number, line) for number, line in read_lines(path) if line.strip())
    number, first = next(lines, (1, ""))
    if not first or first.lstrip().startswith("["):
        yield from read_json(path)
        return
    yield _decode(path, first, line=number)
    for number, line in lines:
        yield _decode(path, line, line=number)


def _decode(path: Path, text: str, *, line: int) -> Any:
    try:
        return json.loads(text.removeprefix("\ufeff").rstrip())
    except json.JSONDecodeError as problem:
        place = f"{path}:{line + problem.lineno - 1}"
        raise ValueError(
            f"{place}: no JSON ({problem.msg}); write a JSON list, or one object per line"
        ) from None


def _strip_quotes(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
