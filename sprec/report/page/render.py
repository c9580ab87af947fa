"""Write one HTML file that shows runs: `python -m sprec.report page PATHS --output FILE`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from sprec.records.run_record import RunRecord
from sprec.report.figures.figure_kinds import Figure
from sprec.report.figures.make import make_figures
from sprec.report.figures.save import FileFormat, check_packages, save_figure, slug, to_inline_svg
from sprec.report.load_records import load_records
from sprec.report.page.elements import render_html
from sprec.report.page.parts import DETAIL_LEVELS, ReportGroup, build_page
from sprec.report.tables.arms import group_by_setting

# The size of a page at most: mail and chat take it.
MOST_BYTES = 1_500_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and the figures asked for; return 0, or 2 after one line on what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        check_packages()
        if options.output is None and options.figures is None:
            raise ValueError(
                "nothing to write; give --output FILE for the page, --figures DIR for its figures"
            )
        groups = report_groups([record for _, record in load_records(options.paths)])
        if options.output is not None:
            text = page_that_fits(groups, title=options.title, users=options.users)
            options.output.write_text(text, encoding="utf-8")
        if options.figures is not None:
            save_figures(groups, options.figures, options.format)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sprec.report page: {' '.join(str(error).split())}\n")
        return 2
    return 0


def report_groups(records: Sequence[RunRecord]) -> list[ReportGroup]:
    """Return the runs of each dataset, base LLM and N with their figures; those are never mixed."""
    settings = group_by_setting(records)
    return [
        ReportGroup(setting, tuple(runs), tuple(make_figures(runs))) for setting, runs in settings.items()
    ]


def page_that_fits(groups: Sequence[ReportGroup], *, title: str, users: Sequence[int] = ()) -> str:
    """Return the page as full as `MOST_BYTES` allows; `ValueError` where even the emptiest is too long."""
    # Drawings take most of the time and are the same on every level.
    drawings = {
        id(panel): to_inline_svg(panel.chart, panel.alternative)
        for _, figure in _named_figures(groups)
        for panel in figure.panels
    }
    for level in DETAIL_LEVELS:
        page = build_page(groups, level, title=title, users=users)
        text = render_html(page, lambda panel: drawings[id(panel)])
        if len(text.encode()) <= MOST_BYTES:
            return text
    raise ValueError(f"a page of these runs is over {MOST_BYTES / 1e6} MB; name fewer folders")


def save_figures(groups: Sequence[ReportGroup], folder: Path, formats: Sequence[FileFormat]) -> None:
    """Write each figure to `folder`, once per format; its name tells the setting where there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, figure in _named_figures(groups):
        for file_format in formats:
            save_figure(figure, folder / f"{prefix}{figure.name}.{file_format}", file_format)


def _named_figures(groups: Sequence[ReportGroup]) -> Iterator[tuple[str, Figure]]:
    for number, group in enumerate(groups, start=1):
        name = slug(f"{number} {group.setting.dataset} {group.setting.base_llm}")
        prefix = f"{name}-" if len(groups) > 1 else ""
        yield from ((prefix, figure) for figure in group.figures if isinstance(figure, Figure))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sprec.report page", description=__doc__)
    add, formats = parser.add_argument, get_args(FileFormat)
    users = "scored users to show, by row number"
    add("paths", nargs="+", type=Path, metavar="PATHS", help="run.json files, or folders")
    add("--output", type=Path, metavar="FILE", help="the HTML file to write")
    add("--figures", type=Path, metavar="DIR", help="write the figures to this folder")
    add("--format", nargs="+", choices=formats, default=["svg"], help="of the figures (default: svg)")
    add("--users", nargs="+", type=int, default=[], metavar="ROW", help=users)
    add("--title", default="Self-play report", help="the page's heading")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
