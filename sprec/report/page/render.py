"""Write one HTML file that shows runs: `python -m sprec.report page PATHS --output FILE`."""

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from sprec.command_line import CommandParser, run_command
from sprec.records.output_folder import CLAIM_FILE
from sprec.records.run_record import FILE_NAME
from sprec.report.figures.make import ReportGroup, report_groups
from sprec.report.figures.save import FileFormat, check_packages, to_inline_svg
from sprec.report.figures.write_figures import named_figures, save_figures
from sprec.report.load_records import load_records_and_notes
from sprec.report.page.elements import render_html
from sprec.report.page.parts import DETAIL_LEVELS, PageOptions, build_page
from sprec.store.atomic_files import write_atomically
from sprec.store.folder_search import files_below

# The size of a page at most: mail and chat take it.
MOST_BYTES = 1_500_000
WATCH_SECONDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and the figures asked for; return 0, or 2 after one line on what is wrong."""
    return run_command(_parser(), arguments, _write_or_watch)


def _write_or_watch(options: argparse.Namespace) -> None:
    check_packages()
    _refuse_unused_options(options)
    _write(options)
    if options.watch:
        watch(options.paths, lambda: _write(options))


def _refuse_unused_options(options: argparse.Namespace) -> None:
    """Raise `ValueError` where nothing would be written, or where an option would be of no effect."""
    if options.output is None and options.figures is None:
        raise ValueError("nothing to write; give --output FILE for the page, --figures DIR for its figures")
    if options.watch and options.output is None:
        raise ValueError("--watch writes the page again and again; give --output FILE")
    if options.users and options.output is None:
        raise ValueError("--users are shown on the page; give --output FILE")
    if options.format and options.figures is None:
        raise ValueError("--format is that of figures in files of their own; give --figures DIR")


def watch(
    paths: Sequence[Path], rebuild: Callable[[], None], wait: Callable[[float], None] = time.sleep
) -> None:
    """Call `rebuild` whenever a record or a claim below the paths has come or changed, until Ctrl-C."""
    seen = _times_of_files(paths)
    with suppress(KeyboardInterrupt):
        while True:
            wait(WATCH_SECONDS)
            if (now := _times_of_files(paths)) != seen:
                seen = now
                rebuild()


def _times_of_files(paths: Sequence[Path]) -> dict[Path, int]:
    # A claim says what ended a run before it had a record.
    folders = [path for path in paths if path.is_dir()]
    # Folders that cannot be listed are notes on the page.
    files = [
        file
        for folder in folders
        for file in files_below(folder, FILE_NAME, CLAIM_FILE, unreadable=lambda _: None)
    ]
    files += [path for path in paths if path not in folders]
    times = {}
    for file in files:
        with suppress(OSError):  # a run may replace its record just now
            times[file] = file.stat().st_mtime_ns
    return times


def _write(options: argparse.Namespace) -> None:
    records, notes = load_records_and_notes(options.paths)
    groups = report_groups([record for _, record in records])
    if options.output is not None:
        refresh = WATCH_SECONDS if options.watch else 0
        text = page_that_fits(groups, PageOptions(options.title, options.users, notes, refresh))
        if options.watch:
            options.output.absolute().parent.stat()  # a misspelled folder is an error and not made
            write_atomically(options.output, text)  # a browser may read it at any time
        else:
            options.output.write_text(text, encoding="utf-8")
    if options.figures is not None:
        save_figures(groups, options.figures, options.format or ["svg"])


def page_that_fits(groups: Sequence[ReportGroup], options: PageOptions) -> str:
    """Return the page as full as `MOST_BYTES` allows; `ValueError` where even the emptiest is too long."""
    # Drawings take most of the time and are the same on every level.
    drawings = {
        id(panel): to_inline_svg(panel.chart, panel.alternative)
        for _, figure in named_figures(groups)
        for panel in figure.panels
    }
    for level in DETAIL_LEVELS:
        text = render_html(build_page(groups, level, options), lambda panel: drawings[id(panel)])
        if len(text.encode()) <= MOST_BYTES:
            return text
    raise ValueError(f"a page of these runs is over {MOST_BYTES / 1e6} MB; name fewer folders")


def _parser() -> CommandParser:
    parser = CommandParser("sprec.report page", __doc__)
    add, formats = parser.add_argument, get_args(FileFormat)
    users = "scored users to show, by row number"
    add("paths", nargs="+", type=Path, metavar="PATHS", help="run.json files, or folders")
    add("--output", type=Path, metavar="FILE", help="the HTML file to write")
    add("--figures", type=Path, metavar="DIR", help="write the figures to this folder")
    add("--format", nargs="+", choices=formats, default=[], help="of the figures (default: svg)")
    add("--users", nargs="+", type=int, default=[], metavar="ROW", help=users)
    add("--watch", action="store_true", help="write the page again whenever a run's record changes")
    add("--title", default="Self-play report", help="the page's heading")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
