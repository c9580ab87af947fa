"""Print tables of the runs below some folders: `python -m sprec.report [PATHS] --table ablation`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from sprec.report.arms import by_setting
from sprec.report.formats import FORMATS
from sprec.report.tables import Table, ablation_tables, mixture, run_table
from sprec.runtime.records import RecordError, RunRecord, find_records

PLACES = (Path("multirun"), Path("outputs"))
"""Where runs are looked for when no path is given."""

COMMANDS = {"dashboard": "sprec.report.dashboard", "wandb-sweep": "sprec.report.sweeps"}
"""Modules whose `main(arguments)` makes something else than tables."""


def _run_tables(records: Sequence[RunRecord]) -> list[Table]:
    return [run_table(record) for record in records]


TABLES: dict[str, Callable[[Sequence[RunRecord]], list[Table]]] = {
    "run": _run_tables,
    "ablation": ablation_tables,
}
"""What makes the tables of each name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write the tables asked for; return 0, or 2 after one line on what is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        run: Callable[[Sequence[str]], int] = import_module(COMMANDS[given[0]]).main
        return run(given[1:])
    options = _parser().parse_args(given)
    try:
        records = _records(options.paths)
        text = "\n".join(map(FORMATS[options.format], TABLES[options.table](records)))
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sprec.report: {error}\n")
        return 2
    groups = by_setting(records)
    if options.table == "ablation" and len(groups) > 1:
        sys.stderr.write(f"sprec.report: {mixture(list(groups))}\n")
    return 0


def _records(paths: Sequence[Path]) -> list[RunRecord]:
    places = list(paths) or [place for place in PLACES if place.exists()]
    records = [record for _, record in find_records(places)]
    if not records:
        looked = ", ".join(map(str, paths or PLACES))
        raise RecordError(f"no run.json below {looked}; run something first, or name other folders")
    return records


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sprec.report", description=__doc__)
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATHS", help="run.json files, or folders (multirun outputs)"
    )
    parser.add_argument(
        "--table", choices=TABLES, default="run", help="one table per run, or one row per arm"
    )
    parser.add_argument("--format", choices=FORMATS, default="md", help="md, csv or latex (booktabs)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
