"""Where input enters: whatever goes wrong there becomes one line with name, reason and remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

LONGEST_REASON = 300


class InputError(ValueError):
    """Input that cannot be used; the message is one line."""


@contextmanager
def reading(name: object, remedy: str) -> Iterator[None]:
    """Raise `InputError` with name, reason and remedy for whatever the block raises of other kinds.

    Errors of this package pass, and so does a `ValueError` that has its remedy already, after a semicolon.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        own = type(error).__module__.startswith("sprec.") or (
            type(error) is ValueError and "; " in str(error)
        )
        if own:
            raise
        raise InputError(f"{name}: {describe(error)}; {remedy}") from error


def describe(error: BaseException) -> str:
    """Return the first words of an error on one line, with its type unless the message is a sentence.

    >>> describe(KeyError("user")), describe(OSError(2, "No such file or directory"))
    ("KeyError: 'user'", '[Errno 2] No such file or directory')
    """
    text = " ".join(str(error).split())
    if len(text) > LONGEST_REASON:
        text = text[:LONGEST_REASON].rsplit(" ", 1)[0] + " …"
    return text if isinstance(error, OSError | ValueError) and text else f"{type(error).__name__}: {text}"


def suggest(name: str, known: list[str]) -> str:
    """Return a question with the known names that are spelled most alike, "" if none is near.

    >>> suggest("movielns", ["toy", "movielens", "steam"])
    '; did you mean movielens?'
    """
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
