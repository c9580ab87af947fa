"""What a trained run recommends for a history, state by state: `python -m sprec.recommend --run DIR`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from sprec.command_line import CommandParser, run_command
from sprec.records.run_record import FILE_NAME, RunRecord
from sprec.report.tables.formats import print_table
from sprec.report.tables.table import Table

if TYPE_CHECKING:
    from sprec.data.catalog import Catalog
    from sprec.experiment.reload import Recommendation


def main(arguments: Sequence[str] | None = None) -> int:
    """Print titles and scores of each state of a run; return 0, or 2 after one line on what is wrong."""
    # FloatingPointError: a model that has diverged ranks nothing.
    return run_command(_parser(), arguments, _recommend, RuntimeError, FloatingPointError)


def _recommend(options: argparse.Namespace) -> None:
    record = read_record(options.run)
    from sprec.experiment.reload import ReloadedRun, tuned_models  # heavy: a wrong folder fails before it

    models = tuned_models(record)
    run = ReloadedRun.from_record(record)
    history = find_items(options.history, run.dataset.catalog)
    recommendations = list(run.recommend(models, history, k=options.k))
    warnings = [run.length_warning(history), *run.warnings]
    sys.stderr.writelines(f"sprec.recommend: {warning}\n" for warning in warnings if warning)
    _print(recommendations, record, options)


def read_record(folder: Path) -> RunRecord:
    """Return the record of a run's output folder; `ValueError` if the folder holds none."""
    file = folder / FILE_NAME
    if file.is_file():
        return RunRecord.load(file)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the output folder of a run")
    below = sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{FILE_NAME}"))
    hint = f"; {len(below)} below it have one, such as {below[-1]}" if below else ""
    raise ValueError(f"{folder} has no {FILE_NAME}: it is no output folder of a run{hint}")


def find_items(history: Sequence[str], catalog: "Catalog") -> tuple[int, ...]:
    """Return the ids of these titles; `ValueError` if there are none, or naming each unknown one."""
    if not any(title.strip() for title in history):
        raise ValueError(f"the history is empty; give --history at least one title, as {catalog.titles[0]!r}")
    items = [catalog.find(title) for title in history]
    unknown = [title for title, item in zip(history, items, strict=True) if item is None]
    if unknown:
        raise ValueError("; ".join(_suggest_titles(title, catalog) for title in unknown))
    return tuple(item for item in items if item is not None)


def _suggest_titles(title: str, catalog: "Catalog") -> str:
    """Return a line with the titles that are spelled most alike, upper and lower case being equal."""
    spelled = {known.lower(): known for known in reversed(catalog.titles)}
    near = [spelled[name] for name in get_close_matches(title.lower(), spelled, n=3, cutoff=0.5)]
    hint = f"nearest: {', '.join(map(repr, near))}" if near else f"titles read like {catalog.titles[0]!r}"
    return f"no item is called {title!r}; {hint}"


def _print(
    recommendations: Sequence["Recommendation"], record: RunRecord, options: argparse.Namespace
) -> None:
    """Print one JSON object, or a table for each state."""
    if options.json:
        states = list(map(asdict, recommendations))
        document = {"run": str(options.run), "history": options.history, "states": states}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    console = Console()
    for recommendation in recommendations:
        print_table(_to_table(recommendation), console)
    console.print(f"{record.method} on {record.dataset.name}, seed {record.seed}; {options.run}", style="dim")


def _to_table(recommendation: "Recommendation") -> Table:
    name = recommendation.label.replace("_", " ").replace("sft", "SFT")
    title = name if recommendation.written is None else f'{name} writes "{recommendation.written}"'
    columns = ("", "title", recommendation.unit)
    return Table(
        title, columns, tuple((place, *line) for place, line in enumerate(recommendation.items, 1)), (), 2
    )


def _parser() -> CommandParser:
    parser = CommandParser("sprec.recommend", __doc__)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="output folder of a run")
    parser.add_argument(
        "--history", nargs="*", required=True, metavar="TITLE", help="titles, the oldest first"
    )
    parser.add_argument("--k", type=int, default=5, help="titles per state (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
