"""`python -m sprec.bench [--quick] [--only WORD] [--out FILE]`: measure, write a file, print a table."""

import argparse
import json
import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sprec.bench.bench import Bench, Results
from sprec.bench.checks import derived
from sprec.bench.contests import FULL, QUICK
from sprec.bench.machine import Machine, machine
from sprec.bench.measure import Check, Growth, Outcome
from sprec.bench.table import markdown, show
from sprec.runtime.decoding import decode
from sprec.runtime.files import write_whole

WIDTH = 190


def main() -> None:
    """Console entry."""
    parser = argparse.ArgumentParser(prog="python -m sprec.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and peers; 8 minutes in place of 35")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name has this word")
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, help="time after which no further row begins")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="print a file's tables, measure nothing"
    )
    given = parser.parse_args()
    if given.markdown:
        try:
            print(markdown(*read(given.markdown)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            remedy = "python -m sprec.bench --out FILE makes one"
            parser.error(f"--markdown: {given.markdown} is no report ({error}); {remedy}")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    sizes = QUICK if given.quick else FULL
    sizes = replace(sizes, minutes=given.minutes) if given.minutes else sizes
    bench = Bench(sizes, machine(given.threads), given.only)
    results = bench.run()
    results.checks += derived(results.contests, results.growths)
    report = {"machine": asdict(bench.machine), "quick": given.quick, **asdict(results)}
    write_whole(given.out, json.dumps(report, indent=2) + "\n")
    console = Console()
    console.width = max(console.width, WIDTH)
    show(bench.machine, results, console)


def read(file: Path) -> tuple[Machine, Results]:
    """Return what was measured; raises what a file that is no such report makes of it."""
    report = json.loads(file.read_text(encoding="utf-8"))
    kinds: dict[str, type[Any]] = {"contests": Outcome, "growths": Growth, "checks": Check}
    found = {name: [decode(kind, each) for each in report[name]] for name, kind in kinds.items()}
    return Machine(**report["machine"]), Results(**found, left_out=report["left_out"])


if __name__ == "__main__":
    main()
