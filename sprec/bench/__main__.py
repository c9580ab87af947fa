"""`python -m sprec.bench [--quick] [--only WORD] [--out FILE]`: measure, write a file, print a table."""

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console

from sprec.bench import ours, ranking
from sprec.bench.contests import FULL, QUICK, Sizes, contests
from sprec.bench.machine import Machine, machine
from sprec.bench.measure import Contest, Growth, Outcome, Sample, Task, growth, outcome
from sprec.bench.setting import Setting, configured
from sprec.bench.table import show
from sprec.bench.worker import Worker
from sprec.runtime.files import write_whole

log = logging.getLogger(__name__)
WIDTH = 170
TAUGHT_ROWS, TAUGHT_STEPS = 128, 8
"""What the model sees before self-play, so that it writes titles and closes them."""


@dataclass(frozen=True)
class Bench:
    """What is measured where: sizes, machine, and the word that chosen rows have in their names."""

    sizes: Sizes
    machine: Machine
    only: str

    @property
    def threads(self) -> int:
        """Threads of both sides."""
        return self.machine.threads

    def wanted(self, name: str) -> bool:
        """Return whether a row is measured."""
        return self.only.lower() in name.lower()

    def meet(self, contest: Contest) -> Outcome:
        """Return the contest's figures: the fastest peer, then ours and it in turn."""
        log.info("%s", contest.name)
        with Worker(contest.ours, threads=self.threads) as mine:
            mine.step()
            name = self._fastest(contest)
            with Worker(contest.peers[name], threads=self.threads) as other:
                other.step()
                pairs = [(mine.step(), other.step()) for _ in range(self.sizes.pairs)]
        found = outcome(contest, name, pairs, peak_flops=self.machine.peak_bf16)
        log.info("%s: %.2f times %s", contest.name, found.ratio, name)
        return found

    def _fastest(self, contest: Contest) -> str:
        """Return the peer with the best single step; one that cannot run is said and left out."""
        rates: dict[str, float] = {}
        for name, task in contest.peers.items() if len(contest.peers) > 1 else ():
            try:
                with Worker(task, threads=self.threads) as other:
                    rates[name] = other.step().rate
                log.info("  %s: %.3f %s/s", name, rates[name], contest.unit)
            except RuntimeError as error:
                log.warning("  %s does not run: %s", name, error)
        return max(rates, key=lambda name: rates[name]) if rates else next(iter(contest.peers))

    def grow(self, name: str, unit: str, task: Task, sizes: Sequence[int]) -> Growth:
        """Return the growth of a task whose steps take the first size once and then each size some times."""
        log.info("%s", name)
        with Worker(task, threads=self.threads) as side:
            side.step()
            samples = [[side.step() for _ in range(self.sizes.repeats)] for _ in sizes]
        return _grown(name, unit, sizes, samples)

    def growths(self, half: Setting) -> list[Growth]:
        """Return growth over rows, negatives and items."""
        found = []
        rows, negatives, items = self.sizes.row_growth, self.sizes.negative_growth, self.sizes.item_growth
        if self.wanted("growth in rows"):
            setting = Setting(half.settings, rows=max(rows))
            task = partial(ours.over_rows, setting, _repeated(rows, self.sizes.repeats))
            found.append(self.grow("SFT step over rows", "row", task, rows))
        if self.wanted("growth in negatives"):
            setting = Setting(half.settings, rows=8, negatives=max(negatives))
            task = partial(ours.over_negatives, setting, _repeated(negatives, self.sizes.repeats))
            found.append(self.grow("S-DPO step over negatives", "negative", task, negatives))
        if self.wanted("growth in items"):
            found.append(self._items(items))
        return found

    def _items(self, sizes: Sequence[int]) -> Growth:
        """Return the growth of grounding, each size in a process of its own."""
        samples = []
        for size in sizes:
            log.info("grounding over %d items", size)
            with Worker(partial(ranking.grounding, 100, size), threads=self.threads) as side:
                side.step()
                samples.append([side.step() for _ in range(3)])
        return _grown("grounding of 100 titles", "item", sizes, samples)


def _repeated(sizes: Sequence[int], repeats: int) -> list[int]:
    """Return the first size as a warm-up, then each size so many times."""
    return [sizes[0], *(size for size in sizes for _ in range(repeats))]


def _grown(name: str, unit: str, sizes: Sequence[int], samples: Sequence[Sequence[Sample]]) -> Growth:
    seconds = [median(sample.seconds for sample in part) for part in samples]
    return growth(name, unit, sizes, seconds, [part[-1].peak_bytes for part in samples])


def main() -> None:
    """Console entry."""
    parser = argparse.ArgumentParser(prog="python -m sprec.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and peers; at most 8 minutes")
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name has this word")
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    bench = Bench(QUICK if given.quick else FULL, machine(given.threads), given.only)
    outcomes, growths = run(bench)
    report = {
        "machine": asdict(bench.machine),
        "quick": given.quick,
        "contests": [asdict(each) for each in outcomes],
        "growths": [asdict(each) for each in growths],
    }
    write_whole(given.out, json.dumps(report, indent=2) + "\n")
    console = Console()
    console.width = max(console.width, WIDTH)
    show(bench.machine, outcomes, growths, console)


def run(bench: Bench) -> tuple[list[Outcome], list[Growth]]:
    """Return all figures; the adapters that write titles are tuned first where they are needed."""
    half, single = (Setting(configured(bf16=bf16, threads=bench.threads), rows=1) for bf16 in (True, False))
    with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
        tuned = Path(place)
        wanted = [each for each in contests(half, single, tuned, bench.sizes) if bench.wanted(each.name)]
        if any("self-play" in each.name for each in wanted):
            taught = Setting(half.settings, rows=TAUGHT_ROWS)
            with Worker(partial(ours.teach, taught, tuned, TAUGHT_STEPS), threads=bench.threads) as side:
                side.step()
        outcomes = [bench.meet(contest) for contest in wanted]
    return outcomes, bench.growths(half)


if __name__ == "__main__":
    main()
