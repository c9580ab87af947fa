"""Write one HTML file that shows runs: `python -m sprec.report page PATHS --output FILE`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sprec.records.run_record import RecordError, RunRecord, find_records
from sprec.report.figures.figure_kinds import Figure
from sprec.report.figures.make import Drawn, figures
from sprec.report.figures.save import Format, check_packages, drawing, slug, write
from sprec.report.page.elements import render
from sprec.report.page.parts import LEVELS, page
from sprec.report.tables.arms import Setting, by_setting

MOST_BYTES = 1_500_000
"""The size of a page at most: mail and chat take it."""


@dataclass(frozen=True)
class Scenery:
    """Runs of one setting and their figures."""

    setting: Setting
    records: tuple[RunRecord, ...]
    drawn: tuple[Drawn, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and the figures asked for; return 0, or 2 after one line on what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        check_packages()
        if options.output is None and options.figures is None:
            raise ValueError(
                "nothing to write; give --output FILE for the page, --figures DIR for its figures"
            )
        records = [record for _, record in find_records(options.paths)]
        if not records:
            listed = ", ".join(map(str, options.paths))
            raise RecordError(f"no run.json below {listed}; run something first, or name other folders")
        scenes = sceneries(records)
        if options.output is not None:
            text = fitting(scenes, title=options.title, users=options.users)
            options.output.write_text(text, encoding="utf-8")
        if options.figures is not None:
            export(scenes, options.figures, options.format)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sprec.report page: {' '.join(str(error).split())}\n")
        return 2
    return 0


def sceneries(records: Sequence[RunRecord]) -> list[Scenery]:
    """Return the runs of each dataset, base LLM and N with their figures; those are never mixed."""
    return [
        Scenery(setting, tuple(runs), tuple(figures(runs))) for setting, runs in by_setting(records).items()
    ]


def fitting(scenes: Sequence[Scenery], *, title: str, users: Sequence[int] = ()) -> str:
    """Return the page as full as `MOST_BYTES` allows; `ValueError` where even the least is too long."""
    parts = [(each.setting, each.records, each.drawn) for each in scenes]
    drawings = {
        id(panel): drawing(panel.chart, panel.alternative)
        for _, figure in _named(scenes)
        for panel in figure.panels
    }
    for level in LEVELS:
        whole = page(parts, level, title=title, users=users)
        text = render(whole, lambda panel: drawings[id(panel)])
        if len(text.encode()) <= MOST_BYTES:
            return text
    raise ValueError(f"a page of these runs is over {MOST_BYTES / 1e6} MB; name fewer folders")


def export(scenes: Sequence[Scenery], folder: Path, formats: Sequence[Format]) -> None:
    """Write each figure to `folder`, once per format; its name tells the setting where there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, figure in _named(scenes):
        for each in formats:
            write(figure, folder / f"{prefix}{figure.name}.{each}", each)


def _named(scenes: Sequence[Scenery]) -> Iterator[tuple[str, Figure]]:
    for place, scene in enumerate(scenes, start=1):
        name = slug(f"{place} {scene.setting.dataset} {scene.setting.base_llm}")
        prefix = f"{name}-" if len(scenes) > 1 else ""
        yield from ((prefix, drawn) for drawn in scene.drawn if isinstance(drawn, Figure))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sprec.report page", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATHS", help="run.json files, or folders")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the HTML file to write")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the figures to this folder")
    parser.add_argument(
        "--format", nargs="+", choices=get_args(Format), default=["svg"], help="of the figures (default: svg)"
    )
    parser.add_argument(
        "--users", nargs="+", type=int, default=[], metavar="ROW", help="scored users to show, by row number"
    )
    parser.add_argument("--title", default="Self-play report", help="the page's heading")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
