"""Print tables of the runs below some folders: `python -m sprec.report [PATHS] --table ablation`.

The commands `page`, `figures`, `dashboard` and `wandb-sweep` in place of PATHS have options of their own.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from sprec.command_line import CommandParser, run_command
from sprec.records.run_record import RunRecord
from sprec.report.labels import LABELS
from sprec.report.load_records import DEFAULT_FOLDERS, read_records
from sprec.report.renames import load_renames
from sprec.report.tables.arms import group_by_setting, group_into_arms
from sprec.report.tables.assemble import run_table, score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.explain import explain_cell
from sprec.report.tables.formats import FORMATS
from sprec.report.tables.html_table import html_document
from sprec.report.tables.latex_table import with_unique_labels
from sprec.report.tables.missing import unrecorded_notes
from sprec.report.tables.reference_values import ReportedRow, load_reported
from sprec.report.tables.table import Table
from sprec.report.tables.table_kinds import MAIN, TABLE_KINDS

# Modules whose `main(arguments)` makes something other than tables.
COMMANDS = {
    "figures": "sprec.report.figures.write_figures",
    "page": "sprec.report.page.render",
    "dashboard": "sprec.report.dashboards.workspace",
    "wandb-sweep": "sprec.report.dashboards.sweep_export",
}

# Options that a table of one run has no use for.
OF_SEVERAL_RUNS = ("transpose", "against", "best", "reference", "tests")

Records = Sequence[tuple[Path, RunRecord]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print or write what was asked for; return 0, or 2 after one line on what is wrong."""
    # The other commands import altair or W&B, which tables do not need.
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in COMMANDS:
        command: Callable[[Sequence[str]], int] = import_module(COMMANDS[words[0]]).main
        return command(words[1:])
    return run_command(_parser(), words, _write_tables)


def _write_tables(options: argparse.Namespace) -> None:
    records, left_out = read_records(options.paths)
    if options.duplicates == "error":
        _refuse_duplicates(records)
    text = _make_text(records, options, left_out)
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")
    if options.explain is not None:  # an explanation has no notes of its own
        sys.stderr.writelines(f"sprec.report: {note}\n" for note in left_out)
    _note_several_settings(records, options)
    _note_unused_options(options)


def _make_text(records: Records, options: argparse.Namespace, left_out: Sequence[str]) -> str:
    """Return the tables in the format asked for, with notes on what is left out, or a cell's explanation."""
    kind = TABLE_KINDS.get(options.table)
    if options.explain is not None:
        _refuse_beside_explain(options)
        return explain_cell(kind or MAIN, records, options.explain)
    runs = [record for _, record in records]
    wanted = TableOptions(
        cutoffs=tuple(options.k),
        against=options.against,
        tested={"on": True, "off": False, "auto": None}[options.tests],
        plain=options.best == "plain" or (options.best is None and options.table == MAIN.name),
        references=_reported(options),
        columns=tuple(options.columns),
        digits=options.digits,
        labels=load_renames(options.rename, runs) if options.rename else LABELS,
        transposed=options.transpose,
    )
    tables, refused = (score_tables(kind, runs, wanted), []) if kind else _run_tables(runs, wanted)
    if not tables:
        raise ValueError("no run here has scores yet; `--table run` says how each of them ended")
    if notes := [*left_out, *refused, *unrecorded_notes(options.paths or DEFAULT_FOLDERS)]:
        tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, *notes))
    texts = [FORMATS[options.format](table) for table in with_unique_labels(tables)]
    return html_document(texts, tables[0].title) if options.format == "html" else "\n".join(texts)


def _run_tables(runs: Sequence[RunRecord], wanted: TableOptions) -> tuple[list[Table], list[str]]:
    """Return a table per run, and a note on each that lacks what is asked for; `ValueError` if all do."""
    tables, refused = [], []
    for run in runs:
        try:
            tables.append(run_table(run, wanted, runs))
        except ValueError as error:
            refused.append(f"{LABELS.method(run.method)}, seed {run.seed}: {error}")
            if len(refused) == len(runs):
                raise
    return tables, refused


def _reported(options: argparse.Namespace) -> tuple[ReportedRow, ...]:
    """Return what others report where that is wanted: third parties, and what the reader typed in."""
    if options.reference is None:
        return ()
    return (*load_reported(), *(row for path in options.reference or [] for row in load_reported(path)))


def _refuse_duplicates(records: Records) -> None:
    """Raise `ValueError` where an arm has two finished runs of one seed; the message names both files."""
    paths = {id(record): path for path, record in records}
    for runs in group_by_setting([record for _, record in records]).values():
        for arm in group_into_arms(runs):
            for old in arm.older:
                new = next(run for run in arm.runs if run.seed == old.seed)
                raise ValueError(
                    f"{arm}, seed {old.seed} was run twice: {paths[id(old)]} and {paths[id(new)]}; "
                    "leave one out, or take the newest with --duplicates newest"
                )


def _note_several_settings(records: Records, options: argparse.Namespace) -> None:
    """Note on standard error that runs of several settings got tables of their own."""
    kind = TABLE_KINDS.get(options.table)
    if kind in (None, MAIN) or options.explain is not None:
        return
    settings = group_by_setting([record for _, record in records], across_llms=kind.across_llms)
    if len(settings) > 1:
        listed = "; ".join(map(str, settings))
        sys.stderr.write(
            f"sprec.report: these runs are not one comparison but {len(settings)} "
            f"(each needs a table of its own): {listed}\n"
        )


def _refuse_beside_explain(options: argparse.Namespace) -> None:
    """Raise `ValueError` for what an explanation, which is of all scores in our own words, would not heed."""
    if unused := _typed_options(options, *OF_SEVERAL_RUNS, "k", "columns", "digits", "rename", "format"):
        raise ValueError(f"{', '.join(unused)}: of no effect beside --explain; leave out")


def _note_unused_options(options: argparse.Namespace) -> None:
    """Note on standard error what a table of one run has no use for."""
    if options.table != "run" or options.explain is not None:
        return
    if unused := _typed_options(options, *OF_SEVERAL_RUNS):
        sys.stderr.write(
            f"sprec.report: {', '.join(unused)}: of no effect on tables of single runs; see --table\n"
        )


def _typed_options(options: argparse.Namespace, *names: str) -> list[str]:
    """Return those of these options that have another value than where nothing is typed."""
    usual = _parser()
    return [f"--{name}" for name in names if getattr(options, name) != usual.get_default(name)]


def _parser() -> CommandParser:
    parser = CommandParser("sprec.report", __doc__)
    add = parser.add_argument
    tests = "intervals and paired tests; auto: where there are at most 40 runs"
    reference = "show what others report; FILE holds values that you typed in, as in reference.toml"
    kinds = ["run", *TABLE_KINDS]
    best = "mark best and second only where a test says so, or plainly (the main table's way)"
    columns = "scores to show, as hr@5 or HR@5 (default: those that say most, or all)"
    rename = 'TOML file of your own names: a line per name, such as sprec = "Ours"'
    add("paths", nargs="*", type=Path, metavar="PATHS", help="run.json files, or folders (multirun outputs)")
    add("--table", choices=kinds, default="run", help="one table per run, or one over all runs")
    add("--format", choices=FORMATS, default="md", help="md, csv, latex (booktabs) or html")
    add("--output", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    scores = parser.add_mutually_exclusive_group()  # names hold their list lengths
    lengths = "list lengths to show (default: all scored)"
    scores.add_argument("--k", type=int, nargs="+", default=[], metavar="K", help=lengths)
    scores.add_argument("--columns", nargs="+", default=[], metavar="SCORE", help=columns)
    add("--digits", type=int, choices=range(1, 9), metavar="N", help="decimals (4; main table: 3)")
    add("--rename", type=Path, metavar="FILE", help=rename)
    add("--transpose", action="store_true", help="scores below each other, methods side by side")
    add("--against", metavar="ROW", help="row that others are compared with (the table's own baseline)")
    add("--best", choices=["tested", "plain"], help=best)
    add("--tests", choices=["auto", "on", "off"], default="auto", help=tests)
    add("--duplicates", choices=["newest", "error"], default="newest", help="two runs of one arm and seed")
    add("--reference", nargs="*", type=Path, metavar="FILE", help=reference)
    add("--explain", metavar="ROW,SCORE", help="say where a number comes from, e.g. 'sprec,ndcg@5'")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
