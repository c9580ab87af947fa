"""Print tables of the runs below some folders: `python -m sprec.report [PATHS] --table ablation`.

`python -m sprec.report page …` and `python -m sprec.report dashboard …` have options of their own.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from sprec.records.run_record import RecordError, RunRecord, find_records
from sprec.report.tables.arms import Arm, arms, by_setting
from sprec.report.tables.assemble import Choice, mixture, run_table, tables
from sprec.report.tables.explain import explain
from sprec.report.tables.formats import FORMATS
from sprec.report.tables.html_table import document
from sprec.report.tables.reference_values import Reference, references
from sprec.report.tables.table import Table
from sprec.report.tables.table_kinds import KINDS, MAIN

PLACES = (Path("multirun"), Path("outputs"))
"""Where runs are looked for when no path is given."""

COMMANDS = {
    "page": "sprec.report.page.render",
    "dashboard": "sprec.report.dashboards.workspace",
    "wandb-sweep": "sprec.report.dashboards.sweep_export",
}
"""Modules whose `main(arguments)` makes something else than tables."""

Found = Sequence[tuple[Path, RunRecord]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write what was asked for; return 0, or 2 after one line on what is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        run: Callable[[Sequence[str]], int] = import_module(COMMANDS[given[0]]).main
        return run(given[1:])
    options = _parser().parse_args(given)
    try:
        found = _records(options.paths)
        if options.duplicates == "error":
            _refuse_duplicates(found)
        text = _text(found, options)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"sprec.report: {error}\n")
        return 2
    _say_settings(found, options)
    return 0


def _text(found: Found, options: argparse.Namespace) -> str:
    """Return the tables in the format asked for, or the explanation of a cell."""
    records = [record for _, record in found]
    kind = KINDS.get(options.table)
    if options.explain is not None:
        return explain(kind or MAIN, found, options.explain)
    choice = Choice(
        cutoffs=tuple(options.k),
        against=options.against,
        tested={"on": True, "off": False, "auto": None}[options.tests],
        plain=options.best == "plain",
        references=_references(options),
    )
    made = tables(kind, records, choice) if kind else [run_table(record, choice) for record in records]
    texts = [FORMATS[options.format](table) for table in made]
    return document(texts, _title(made)) if options.format == "html" else "\n".join(texts)


def _title(made: Sequence[Table]) -> str:
    return made[0].title if made else "no tables"


def _references(options: argparse.Namespace) -> tuple[Reference, ...]:
    """Return what others report: third parties in the main table, and what the reader typed in."""
    if options.reference is None and options.table != MAIN.name:
        return ()
    return (*references(), *(row for path in options.reference or [] for row in references(path)))


def _records(paths: Sequence[Path]) -> Found:
    places = list(paths) or [place for place in PLACES if place.exists()]
    found = find_records(places)
    if not found:
        looked = ", ".join(map(str, paths or PLACES))
        raise RecordError(f"no run.json below {looked}; run something first, or name other folders")
    return found


def _refuse_duplicates(found: Found) -> None:
    """Raise `ValueError` where an arm has two finished runs of one seed; the message names both files."""
    places = {id(record): path for path, record in found}
    for records in by_setting([record for _, record in found]).values():
        for arm in arms(records):
            for old in arm.older:
                kept = next(run for run in arm.runs if run.seed == old.seed)
                raise ValueError(_twice(arm, places[id(old)], places[id(kept)], old.seed))


def _twice(arm: Arm, old: Path, kept: Path, seed: int) -> str:
    return (
        f"{arm}, seed {seed} was run twice: {old} and {kept}; leave one out, or take the newest "
        "with --duplicates newest"
    )


def _say_settings(found: Found, options: argparse.Namespace) -> None:
    """Say on standard error that runs of several settings got tables of their own."""
    kind = KINDS.get(options.table)
    if kind is None or options.explain is not None:
        return
    groups = by_setting([record for _, record in found], across_llms=kind.across_llms)
    if len(groups) > 1:
        sys.stderr.write(f"sprec.report: {mixture(list(groups))}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sprec.report", description=__doc__)
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATHS", help="run.json files, or folders (multirun outputs)")
    add("--table", choices=["run", *KINDS], default="run", help="one table per run, or one over all runs")
    add("--format", choices=FORMATS, default="md", help="md, csv, latex (booktabs) or html")
    add("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    add(
        "--k",
        type=int,
        nargs="+",
        default=[],
        metavar="K",
        help="list lengths to show (all that were scored)",
    )
    add("--against", metavar="ROW", help="row that others are compared with (the table's own baseline)")
    add(
        "--best", choices=["tested", "plain"], default="tested", help="mark best and second only where tested"
    )
    add(
        "--tests",
        choices=["auto", "on", "off"],
        default="auto",
        help="intervals and paired tests; auto: where there are at most 40 runs",
    )
    add("--duplicates", choices=["newest", "error"], default="newest", help="two runs of one arm and seed")
    add(
        "--reference",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="show what others report; FILE holds values that you typed in, as in reference.toml",
    )
    add("--explain", metavar="ROW,SCORE", help="say where a number comes from, e.g. 'sprec,ndcg@5'")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
