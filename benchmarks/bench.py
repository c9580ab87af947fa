"""Runs the rows of the benchmark within the minutes that there are."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch

from benchmarks import ablation, ours, ranking
from benchmarks.checks import priced
from benchmarks.contests import Sizes, contests
from benchmarks.machine import Machine, peak
from benchmarks.measure import Check, Contest, Sample, Task, growth, outcome
from benchmarks.results import Figures, Results
from benchmarks.setting import Setting, configured
from benchmarks.side_process import Worker
from sprec.llm.precision import has_bf16

log = logging.getLogger(__name__)
Found = TypeVar("Found")
Row = tuple[str, Callable[[], None]]
Tried = tuple[float, str, Worker]
"""Units per second of a peer's first step, its name and its process."""
FINALISTS, CLOSE = 2, 0.75
"""Peers that go on to the turns: at most so many, whose first step has so much of the best one's rate."""
TAUGHT_STEPS = 8
"""Steps that models are tuned for before self-play, so that they write titles."""
PATIENCE = 2.5
"""How many even shares of the minutes left a row may take before its pairs become fewer."""
MEMORY_PAIRS = 8
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}
PEAK_SECONDS = 0.2
"""How long each product is repeated before a pair of steps."""
NO_UNITS = "this processor multiplies bfloat16 in software alone; the other rows are in float32"


@dataclass
class Bench:
    """What is measured where: sizes, machine, and the word that chosen rows have in their names.

    Rows that `results` has already are measured again only where a word chooses them. `save` is called when
    there is more in `results`; `figures` are those of the row that is being measured.
    """

    sizes: Sizes
    machine: Machine
    only: str = ""
    results: Results = field(default_factory=Results)
    save: Callable[[], None] = lambda: None
    figures: Figures = field(default_factory=Figures, init=False)
    order: list[str] = field(default_factory=list, init=False)
    start: float = field(default_factory=time.monotonic)
    patience: float = field(default=0.0, init=False)

    @property
    def threads(self) -> int:
        """Threads of both sides."""
        return self.machine.threads

    def run(self) -> None:
        """Measure all rows that are wanted; the adapters that write titles are tuned first if needed."""
        single = Setting(configured(bf16=False, threads=self.threads), rows=1)
        best = self._half() or single
        with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
            tuned = Path(place)
            rows = self._contests(best, single, tuned) + self._growths(best) + self._checks(best, tuned)
            self.order = [name for name, _ in rows]
            rows = [(name, work) for name, work in rows if self._wanted(name)]
            chosen = {*self.results.rows, *(name for name, _ in rows)}
            self.results.left_out += [f"{name}: not chosen" for name in self.order if name not in chosen]
            if any(word in name for name, _ in rows for word in ("self-play", "iteration")):
                taught = Setting(best.settings, rows=self.sizes.taught)
                self._one(partial(ours.teach, taught, tuned, TAUGHT_STEPS))
            for number, (name, work) in enumerate(rows):
                self._row(name, work, len(rows) - number)
                self.save()

    def _wanted(self, name: str) -> bool:
        """Return whether a word chooses the row, or without one whether it is missing."""
        return self.only.lower() in name.lower() if self.only else name not in self.results.rows

    def _half(self) -> Setting | None:
        """Return the setting in bfloat16; where the processor has no units for it, say so and return None."""
        if has_bf16("cpu"):
            return Setting(configured(bf16=True, threads=self.threads), rows=1)
        log.warning("rows in bf16 left out: %s", NO_UNITS)
        self.results.left_out.append(f"rows in bf16: {NO_UNITS}")
        return None

    def _row(self, name: str, work: Callable[[], None], left: int) -> None:
        """Measure one of the rows that are left, or name it as left out where the time is over."""
        seconds = 60 * self.sizes.minutes - (time.monotonic() - self.start)
        if seconds <= 0:
            log.warning("%s: left out, the %g minutes are over", name, self.sizes.minutes)
            self.results.left_out.append(f"{name}: the {self.sizes.minutes:g} minutes were over")
            return
        log.info("%s", name)
        self.patience = time.monotonic() + PATIENCE * seconds / left
        self.figures = Figures()
        try:
            work()
        except RuntimeError as error:
            log.warning("%s failed: %s", name, error)
            self.results.left_out.append(f"{name}: {error}")
        else:
            self.results.add(name, self.figures, self.order)

    def _contests(self, best: Setting, single: Setting, tuned: Path) -> list[Row]:
        found = contests(best, single, tuned, self.sizes)
        return [(each.name, partial(self._meet, each)) for each in found]

    def _meet(self, contest: Contest) -> None:
        """Add a contest's figures: the machine's best product, ours and the peers in turn.

        The peer with the best median is the one that counts.
        """
        peaks: list[float] = []

        def turn() -> tuple[Sample, dict[str, Sample]]:
            if contest.flops:
                peaks.append(peak(DTYPES[contest.precision], seconds=PEAK_SECONDS))
            return mine.step(), {name: other.step() for name, other in rivals.items()}

        with ExitStack() as stack:
            rivals = self._rivals(contest, stack)
            mine = stack.enter_context(Worker(contest.ours, threads=self.threads))
            mine.step()
            turns = list(self._several(turn, self.sizes.pairs))
        rates = {name: median(others[name].rate for _, others in turns) for name in rivals}
        name = max(rates, key=rates.__getitem__)
        found = outcome(contest, name, [(own, others[name]) for own, others in turns], peaks)
        log.info("  %.2f times %s; in turn with ours %s", found.ratio, name, _rates(rates))
        self.figures.contests.append(found)
        if contest.priced:
            seconds = median(own.seconds for own, _ in turns)
            self.figures.checks.append(priced(contest.name, contest.priced(), seconds))

    def _rivals(self, contest: Contest, stack: ExitStack) -> dict[str, Worker]:
        """Return the peers with the best first steps, warm; one that cannot run is said and left out."""
        tried: list[Tried] = []
        for name, task in contest.peers.items():
            if tried and time.monotonic() > self.patience:
                break
            try:
                other = Worker(task, threads=self.threads)
                stack.callback(other.close)
                rate = other.step().rate
            except RuntimeError as error:
                log.warning("  %s does not run: %s", name, error)
                continue
            log.info("  %s: %.3f %s/s", name, rate, contest.unit)
            tried = _best([*tried, (rate, name, other)])
        if not tried:
            raise RuntimeError(f"{contest.name}: no peer runs; install the extra [bench]")
        return {name: other for _, name, other in tried}

    def _several(self, take: Callable[[], Found], times: int) -> Iterator[Found]:
        """Yield what `take` returns so many times, or fewer where patience ends; once at least."""
        for number in range(times):
            if number and time.monotonic() > self.patience:
                return
            yield take()

    def _growths(self, best: Setting) -> list[Row]:
        rows, negatives = self.sizes.row_growth, self.sizes.negative_growth
        many = Setting(best.settings, rows=max(rows))
        wide = Setting(best.settings, rows=4, negatives=max(negatives))
        tasks = (
            ("SFT step over rows", "row", rows, partial(ours.over_rows, many, self._repeated(rows))),
            (
                *("S-DPO step over negatives", "negative", negatives),
                partial(ours.over_negatives, wide, self._repeated(negatives)),
            ),
        )
        found: list[Row] = [
            (f"growth of {name}", partial(self._grow, name, unit, sizes, task))
            for name, unit, sizes, task in tasks
        ]
        return [*found, ("growth of grounding over items", self._items)]

    def _repeated(self, sizes: Sequence[int]) -> list[int]:
        """Return the first size as a warm-up, then all sizes, so many times."""
        return [sizes[0], *(size for _ in range(self.sizes.repeats) for size in sizes)]

    def _grow(self, name: str, unit: str, sizes: Sequence[int], task: Task) -> None:
        """Add the growth of a task whose steps take the first size once and then all sizes, some times.

        Sizes are taken in turn, so that a machine that wavers does so for all of them. What a process held
        at most so far is that of each size in the first round alone, and of the largest at the end.
        """
        with Worker(task, threads=self.threads) as side:
            side.step()
            rounds = [[side.step() for _ in sizes] for _ in range(self.sizes.repeats)]
        peaks = [*(sample.peak_bytes for sample in rounds[0][:-1]), rounds[-1][-1].peak_bytes]
        self._grown(name, unit, sizes, list(zip(*rounds, strict=True)), peaks)

    def _items(self) -> None:
        """Add the growth of grounding, each size in a process of its own."""
        sizes, samples = self.sizes.item_growth, list[list[Sample]]()
        for size in sizes:
            with Worker(partial(ranking.grounding, 100, size), threads=self.threads) as side:
                side.step()
                samples.append([side.step() for _ in range(3)])
        peaks = [part[-1].peak_bytes for part in samples]
        self._grown("grounding of 100 titles", "item", sizes, samples, peaks)

    def _grown(
        self,
        name: str,
        unit: str,
        sizes: Sequence[int],
        samples: Sequence[Sequence[Sample]],
        peaks: Sequence[int],
    ) -> None:
        seconds = [median(sample.seconds for sample in part) for part in samples]
        found = growth(name, unit, sizes, seconds, peaks)
        self.figures.growths.append(found)

    def _checks(self, best: Setting, place: Path) -> list[Row]:
        pairs = Setting(best.settings, rows=MEMORY_PAIRS, negatives=1)
        return [
            ("memory of DPO", partial(self._memory, pairs)),
            ("ablation with four arms", partial(self._ablation, place, bf16=best.bf16)),
        ]

    def _memory(self, setting: Setting) -> None:
        sample = self._one(partial(ours.step, setting), times=2)
        name = f"peak GB of DPO, {setting.rows} pairs a step"
        self.figures.checks.append(Check(name, sample.peak_bytes / 1e9, 2.5))

    def _ablation(self, place: Path, *, bf16: bool) -> None:
        """Add what four arms take over their distinct stages, and what they would take without the store."""
        first, later = self.sizes.ablation
        rows = (f"sft_rows={first}", f"iteration_rows={later}", f"test_rows={later}", "iterations=1")
        changes = [f"store.path={place / 'stages'}", *(f"budget.{each}" for each in rows)]
        arms = [configured(*changes, *arm, bf16=bf16, threads=self.threads) for arm in ablation.ARMS]
        sample = self._one(partial(ablation.arms, arms, place))
        parts = sample.work.parts
        self.figures.checks += [
            Check("4-arm ablation: time over its distinct stages", sample.seconds / parts["distinct"], 1.05),
            Check("4-arm ablation: without the store, over with", parts["apart"] / sample.seconds, None),
        ]

    def _one(self, task: Task, times: int = 1) -> Sample:
        """Return the last of some steps in a process of its own."""
        with Worker(task, threads=self.threads) as side:
            return [side.step() for _ in range(times)][-1]


def _best(tried: list[Tried]) -> list[Tried]:
    """Return the peers that may go on, best first; the others' processes end."""
    order = sorted(tried, key=lambda each: each[0], reverse=True)
    kept = [each for each in order[:FINALISTS] if each[0] >= CLOSE * order[0][0]]
    for _, _, other in order[len(kept) :]:
        other.close()
    return kept


def _rates(rates: Mapping[str, float]) -> str:
    return "; ".join(f"{name} {rate:.3f}/s" for name, rate in rates.items())
