"""What the commands beside `sprec.run` share: whatever a user gets wrong is one line and exit status 2."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


class CommandParser(argparse.ArgumentParser):
    """The options of `python -m NAME`; a mistyped one ends the program with one line, not with all usage."""

    def __init__(self, name: str, description: str | None) -> None:
        super().__init__(prog=f"python -m {name}", description=description)
        self.name = name

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line."""
        self.exit(2, f"{self.name}: {message.removeprefix('argument ')}; --help shows all options\n")


def run_command(
    parser: CommandParser,
    arguments: Sequence[str] | None,
    work: Callable[[argparse.Namespace], None],
    *further_errors: type[Exception],
) -> int:
    """Do the work with the parsed options; return 0, or 2 after one line on what the user got wrong.

    Args:
        parser: of the command's options.
        arguments: the words after the command's name; those of this process where they are None.
        work: what the command does.
        further_errors: what is a user's error beside `ValueError` and `OSError`.

    """
    options = parser.parse_args(arguments)
    user_errors: tuple[type[Exception], ...] = (ValueError, OSError, *further_errors)
    try:
        work(options)
    except user_errors as error:
        sys.stderr.write(f"{parser.name}: {' '.join(str(error).split())}\n")
        return 2
    return 0
