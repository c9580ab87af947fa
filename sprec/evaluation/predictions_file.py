"""A file of predictions for test rows: generated texts, ranked lists, or records that hold either."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sprec.data.formats.released_folder import clean_title
from sprec.data.formats.released_rows import ReleasedRow, find_quoted, parse_row


def read_answers(
    path: Path, *, rows: int, test_rows: Sequence[ReleasedRow] = ()
) -> list[str] | list[list[str]]:
    """Return a file's predictions: a generated text per test row, or a ranked list of texts per test row.

    The file is a JSON list, packed with gzip where its name ends in .gz. A record counts as what it has in
    `predict`: a text, a list of one text (as released), or a ranked list (as D3's). Raises `ValueError`
    naming file and row of what is none of these, for another number of entries than `rows`, and for a record
    with the `output` or the titles in `input` of another row than that of `test_rows` in its place.
    """
    entries = _read_json(path)
    if not isinstance(entries, list):
        raise ValueError(f"{path} holds no JSON list; expected one entry per test row")
    if len(entries) != rows:
        raise ValueError(
            f"{path} has {len(entries)} entries but there are {rows} test rows; give one per row"
        )
    answers = [_answer(entry, f"{path}: row {row}") for row, entry in enumerate(entries, start=1)]
    for number, (entry, test_row) in enumerate(zip(entries, test_rows, strict=False), start=1):
        if isinstance(entry, dict):
            _check_same_row(entry, test_row, f"{path}: row {number}")
    from_records = [answer for answer, entry in zip(answers, entries, strict=True) if isinstance(entry, dict)]
    # As released, a record's text stands in a list of one; beside longer lists that is a short list.
    if all(isinstance(answer, str) or len(answer) == 1 for answer in from_records):
        answers = [
            answer[0] if isinstance(entry, dict) and isinstance(answer, list) else answer
            for answer, entry in zip(answers, entries, strict=True)
        ]
    texts = [answer for answer in answers if isinstance(answer, str)]
    lists = [answer for answer in answers if not isinstance(answer, str)]
    if texts and lists:
        first = type(answers[0])
        row = next(row for row, answer in enumerate(answers, start=1) if type(answer) is not first)
        raise ValueError(f"{path}: row {row} is of another kind than row 1; give texts only, or lists only")
    return texts or lists


def _answer(entry: Any, place: str) -> str | list[str]:
    answer = entry["predict"] if isinstance(entry, dict) and "predict" in entry else entry
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list) and answer and all(isinstance(text, str) for text in answer):
        return answer
    expected = "a generated text, a list of titles, or a record with either in 'predict'"
    raise ValueError(f"{place} is of type {type(answer).__name__} and not {expected}")


def _check_same_row(record: Mapping[str, Any], row: ReleasedRow, place: str) -> None:
    """Raise `ValueError` where a record states another target or history than the test row."""
    text, output = (str(record.get(field) or "") for field in ("input", "output"))
    history = '", "'.join(row.history)
    # Both readings of a row, whole and as released, have the same quoted strings.
    titles = {
        "output": ([parse_row("", "", output).target.strip('"')] if output else [], [row.target.strip('"')]),
        "input": (find_quoted(text, empty=False), find_quoted(f'"{history}"', empty=False)),
    }
    for field, (own, expected) in titles.items():
        for one, other in zip_longest(own, expected, fillvalue=""):
            if own and one != other and clean_title(one) != clean_title(other):
                raise ValueError(
                    f"{place} has {one!r} in {field!r} and this row of test.json has {other!r}; give one "
                    "prediction per test row, in the order of test.json"
                )


def _read_json(path: Path) -> Any:
    try:
        packed = path.read_bytes()
        return json.loads(gzip.decompress(packed) if path.suffix == ".gz" else packed)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); expected a list, one entry per test row") from error
