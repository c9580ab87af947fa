"""`python -m benchmarks [--quick] [--only WORD] [--out FILE]`: measure, write a file, print a table.

A row is in the file as soon as it is measured. A file of the same code and machine that lacks rows is gone on
with; where none is missing its table is printed alone. What measures is imported late: the processes of sides
import this module too, and are to hold no more than they need.
"""

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

WIDTH = 190


def main() -> None:
    """Console entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and peers, within 8 minutes")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name has this word, again")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/bfloat16.json"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, help="time after which no further row begins")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="print a file's tables, measure nothing"
    )
    given = parser.parse_args()
    if given.markdown:
        _print(given.markdown, parser)
    else:
        _measure(given)


def _print(file: Path, parser: argparse.ArgumentParser) -> None:
    """Print a file's tables as Markdown."""
    from benchmarks.markdown import markdown
    from benchmarks.results import read

    try:
        report = read(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"--markdown: {file} is no report ({error}); python -m benchmarks --out FILE makes one")
    print(markdown(report.machine, report.results))


def _measure(given: argparse.Namespace) -> None:
    """Measure what is missing or chosen, and print the tables."""
    from rich.console import Console

    from benchmarks.bench import Bench
    from benchmarks.contests import FULL, QUICK
    from benchmarks.machine import machine
    from benchmarks.markdown import show
    from benchmarks.results import Report, Results, begun, code

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    sizes = QUICK if given.quick else FULL
    sizes = replace(sizes, minutes=given.minutes) if given.minutes else sizes
    report = begun(given.out, Report(machine(given.threads), given.quick, code(), Results()))
    if report.results.rows:
        logging.info("%s has %d rows of this code: going on", given.out, len(report.results.rows))
    bench = Bench(sizes, report.machine, given.only, report.results, lambda: report.write(given.out))
    bench.run()
    console = Console()
    console.width = max(console.width, WIDTH)
    show(report.machine, report.results, console)


if __name__ == "__main__":
    main()
