"""Reading the JSON of a record, which may be a stranger's: bounded, and nothing in it acts."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 64 << 20
"""No record is larger: that of 10,000 users and 100,000 items has 12 MB."""
_CONTROLS = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# In JSON the others stand escaped, behind an even number of backslashes; tabs and line breaks may stay.
_ESCAPED_CONTROLS = re.compile(
    r"((?<!\\)(?:\\\\)*)\\(?:[bfr]|u00(?:0[0-8bce-f]|0d|1[0-9a-f]|7f|[89][0-9a-f])|u20(?:2[a-e]|6[6-9]))",
    re.I,
)


class RecordError(ValueError):
    """A record cannot be read or written; the message is one line that names the file."""


def read_document(path: Path) -> Mapping[str, object]:
    """Return the object in a record's file; `RecordError` where it cannot be read or is no object."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RecordError(f"{path} has over {MOST_BYTES >> 20} MB, which no record has; leave it out")
        text = _without_controls(path.read_text(encoding="utf-8"))
        document = json.loads(text, parse_constant=_refuse_constant)
    except (RecordError, RecursionError) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{path} is nested too deeply to be a record; leave it out") from error
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # broken JSON, or bytes that are not UTF-8
        raise RecordError(f"{path} is not whole JSON ({error}); run again, or leave it out") from error
    if not isinstance(document, dict):
        raise RecordError(f"{path} holds a {type(document).__name__}, not a record; leave it out")
    return document


def _without_controls(text: str) -> str:
    r"""Return JSON with a mark in place of what makes a terminal act or turns the direction of text.

    >>> _without_controls('["\\u001b[2J", "a\\nb"]')
    '["\\ufffd[2J", "a\\nb"]'
    """
    return _CONTROLS.sub("\ufffd", _ESCAPED_CONTROLS.sub(r"\1\\ufffd", text))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
