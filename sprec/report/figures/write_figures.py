"""Write figures of runs for a paper: `python -m sprec.report figures PATHS --output DIR --width column`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from sprec.command_line import CommandParser, run_command
from sprec.report.figures.figure_kinds import Figure
from sprec.report.figures.make import ReportGroup, report_groups
from sprec.report.figures.save import FileFormat, PaperWidth, check_packages, save_figure, slug
from sprec.report.load_records import load_records


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the figures asked for; return 0, or 2 after one line on what is wrong."""
    return run_command(_parser(), arguments, _write)


def _write(options: argparse.Namespace) -> None:
    check_packages()
    records = [record for _, record in load_records(options.paths)]
    groups = report_groups(records, options.columns)
    names = {figure.name for _, figure in named_figures(groups)}
    if unknown := sorted(set(options.figures) - names):
        listed = ", ".join(sorted(names))
        raise ValueError(f"there is no figure {unknown[0]!r} of these records; there is {listed}")
    save_figures(groups, options.output, options.format, width=options.width, names=options.figures)


def save_figures(
    groups: Sequence[ReportGroup],
    folder: Path,
    formats: Sequence[FileFormat],
    *,
    width: PaperWidth = "page",
    names: Sequence[str] = (),
) -> None:
    """Write figures to `folder`, once per format; a file's name tells the setting where there are several.

    Args:
        groups: runs of one setting each, with their figures.
        folder: is made where it is not there.
        formats: of the files.
        width: of a column or of a page of a paper.
        names: the figures to write, none for all.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, figure in named_figures(groups):
        if figure.name in names or not names:
            for file_format in formats:
                path = folder / f"{prefix}{figure.name}.{file_format}"
                save_figure(figure, path, file_format, width=width)


def named_figures(groups: Sequence[ReportGroup]) -> Iterator[tuple[str, Figure]]:
    """Yield each figure with the beginning of its file's name, "" where there is one setting."""
    for number, group in enumerate(groups, start=1):
        name = slug(f"{number} {group.setting.dataset} {group.setting.base_llm}")
        prefix = f"{name}-" if len(groups) > 1 else ""
        yield from ((prefix, figure) for figure in group.figures if isinstance(figure, Figure))


def _parser() -> CommandParser:
    parser = CommandParser("sprec.report figures", __doc__)
    add, formats = parser.add_argument, get_args(FileFormat)
    columns = "scores of the figure of differences, as or_ratio@5 or OR@5 (default: those that say most)"
    add("paths", nargs="*", type=Path, metavar="PATHS", help="run.json files, or folders (multirun outputs)")
    add("--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    add("--format", nargs="+", choices=formats, default=["pdf"], help="of the files (default: pdf)")
    add("--width", choices=get_args(PaperWidth), default="page", help="of a paper (default: page)")
    add(
        "--figures",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of those to write (default: all)",
    )
    add("--columns", nargs="+", default=[], metavar="SCORE", help=columns)
    return parser
