"""`python -m benchmarks [--quick] [--only WORD] [--out FILE]`: measure, write a file, print a table.

Each row is written as soon as it is measured. If the file comes from the same code and machine, only its
missing rows are measured; if none is missing, its tables are printed. Heavy modules are imported late: the
processes of both sides import this module too, and their memory is part of what is measured.
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
    parser.add_argument(
        "--only", default="", metavar="WORD", help="measure again the rows whose names contain this word"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark.json"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, help="start no further row after this time")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="print the tables of a file and measure nothing"
    )
    args = parser.parse_args()
    if args.markdown:
        _print_markdown(args.markdown, parser)
    else:
        _measure(args)


def _print_markdown(file: Path, parser: argparse.ArgumentParser) -> None:
    """Print the tables of a file as Markdown."""
    from benchmarks.markdown import to_markdown
    from benchmarks.results import read_report

    try:
        report = read_report(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(
            f"--markdown: {file} holds no benchmark ({error}); `python -m benchmarks --out FILE` writes one"
        )
    print(to_markdown(report.machine, report.results))


def _measure(args: argparse.Namespace) -> None:
    """Measure the rows that are missing or chosen, and print the tables."""
    from rich.console import Console

    from benchmarks.bench import Benchmark
    from benchmarks.contests import FULL, QUICK
    from benchmarks.machine import describe_machine
    from benchmarks.markdown import print_tables
    from benchmarks.results import Report, Results, code_digest, resume_report

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    sizes = QUICK if args.quick else FULL
    sizes = replace(sizes, minutes=args.minutes) if args.minutes else sizes
    report = resume_report(
        args.out, Report(describe_machine(args.threads), args.quick, code_digest(), Results())
    )
    if report.results.rows:
        logging.info(
            "%s already has %d rows of this code: measuring the rest", args.out, len(report.results.rows)
        )
    bench = Benchmark(sizes, report.machine, args.only, report.results, lambda: report.write(args.out))
    bench.run()
    console = Console()
    console.width = max(console.width, WIDTH)
    print_tables(report.machine, report.results, console)


if __name__ == "__main__":
    main()
