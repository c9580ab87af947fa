"""Measures the rows of the benchmark within a number of minutes."""

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
from benchmarks.checks import check_estimate
from benchmarks.contests import BenchmarkSizes, list_contests
from benchmarks.machine import Machine, peak_flops
from benchmarks.measure import Check, Contest, Sample, Task, fit_growth, summarize_contest
from benchmarks.results import Figures, Results
from benchmarks.setting import Setting, default_settings
from benchmarks.side_process import SideProcess
from sprec.llm.precision import has_bf16

log = logging.getLogger(__name__)
Measured = TypeVar("Measured")
BenchmarkRow = tuple[str, Callable[[], None]]
"""A row's name and what measures it."""
WarmPeer = tuple[float, str, SideProcess]
"""Units per second of a peer's first step, its name and its process."""
FINALISTS, FINALIST_SHARE = 2, 0.75
"""How many peers go on to pairs at most, and the share of the best first rate that they need for it."""
TUNING_STEPS = 8
"""Steps that models are tuned for before self-play, so that they write titles."""
PATIENCE = 2.5
"""A row that has taken this many even shares of the remaining time measures no further pair."""
MEMORY_PAIRS = 8
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}
PEAK_SECONDS = 0.2
"""How long each product is repeated before a pair of steps, as the machine's speed changes."""
NO_UNITS = "this processor multiplies bfloat16 in software alone; the other rows are in float32"


@dataclass
class Benchmark:
    """Measures rows of given sizes on a machine; `only` is a word that the chosen rows' names contain.

    Rows that `results` already holds are measured again only where `only` chooses them. `save` is called
    after each row; `figures` are those of the row that is being measured.
    """

    sizes: BenchmarkSizes
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
        """Threads that each side runs with."""
        return self.machine.threads

    def run(self) -> None:
        """Measure all rows that are due; adapters that write titles are tuned first where rows need them."""
        single = Setting(default_settings(bf16=False, threads=self.threads), rows=1)
        best = self._bf16_setting() or single
        with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
            adapters = Path(place)
            rows = (
                self._contest_rows(best, single, adapters)
                + self._growth_rows(best)
                + self._check_rows(best, adapters)
            )
            self.order = [name for name, _ in rows]
            rows = [(name, work) for name, work in rows if self._is_due(name)]
            chosen = {*self.results.rows, *(name for name, _ in rows)}
            self.results.left_out += [f"{name}: not chosen" for name in self.order if name not in chosen]
            if any(word in name for name, _ in rows for word in ("self-play", "iteration")):
                setting = Setting(best.settings, rows=self.sizes.tuning_rows)
                self._last_sample(partial(ours.tune_adapters, setting, adapters, TUNING_STEPS))
            for number, (name, work) in enumerate(rows):
                self._measure_row(name, work, len(rows) - number)
                self.save()

    def _is_due(self, name: str) -> bool:
        """Return whether `only` chooses the row, or without a word whether the row is missing."""
        return self.only.lower() in name.lower() if self.only else name not in self.results.rows

    def _bf16_setting(self) -> Setting | None:
        """Return the bfloat16 setting; log and return None where the processor has no units for it."""
        if has_bf16("cpu"):
            return Setting(default_settings(bf16=True, threads=self.threads), rows=1)
        log.warning("rows in bf16 left out: %s", NO_UNITS)
        self.results.left_out.append(f"rows in bf16: {NO_UNITS}")
        return None

    def _measure_row(self, name: str, work: Callable[[], None], rows_left: int) -> None:
        """Measure one row, or record it as left out where the time is over."""
        seconds = 60 * self.sizes.minutes - (time.monotonic() - self.start)
        if seconds <= 0:
            log.warning("%s: left out, the %g minutes are over", name, self.sizes.minutes)
            self.results.left_out.append(f"{name}: the {self.sizes.minutes:g} minutes were over")
            return
        log.info("%s", name)
        self.patience = time.monotonic() + PATIENCE * seconds / rows_left
        self.figures = Figures()
        try:
            work()
        except RuntimeError as error:
            log.warning("%s failed: %s", name, error)
            self.results.left_out.append(f"{name}: {error}")
        else:
            self.results.add(name, self.figures, self.order)

    def _contest_rows(self, best: Setting, single: Setting, adapters: Path) -> list[BenchmarkRow]:
        contests = list_contests(best, single, adapters, self.sizes)
        return [(contest.name, partial(self._run_contest, contest)) for contest in contests]

    def _run_contest(self, contest: Contest) -> None:
        """Add a contest's figures, from the machine's best product, our step and the peers' steps in turn.

        The peer with the best median counts.
        """
        peaks: list[float] = []

        def take_turn() -> tuple[Sample, dict[str, Sample]]:
            if contest.flops:
                peaks.append(peak_flops(DTYPES[contest.precision], seconds=PEAK_SECONDS))
            return own_side.step(), {name: side.step() for name, side in rivals.items()}

        with ExitStack() as stack:
            rivals = self._finalists(contest, stack)
            own_side = stack.enter_context(SideProcess(contest.ours, threads=self.threads))
            own_side.step()  # warms up: the peers took their first steps already
            turns = list(self._repeat(take_turn, self.sizes.pairs))
        rates = {name: median(others[name].rate for _, others in turns) for name in rivals}
        name = max(rates, key=rates.__getitem__)
        outcome = summarize_contest(contest, name, [(own, others[name]) for own, others in turns], peaks)
        log.info("  %.2f times %s; peers in turn with ours: %s", outcome.ratio, name, _format_rates(rates))
        self.figures.contests.append(outcome)
        if contest.estimate_seconds:
            seconds = median(own.seconds for own, _ in turns)
            self.figures.checks.append(check_estimate(contest.name, contest.estimate_seconds(), seconds))

    def _finalists(self, contest: Contest, stack: ExitStack) -> dict[str, SideProcess]:
        """Return the peers with the fastest first steps, warm; one that cannot run is logged and left out."""
        peers: list[WarmPeer] = []
        for name, task in contest.peers.items():
            if peers and time.monotonic() > self.patience:
                break
            try:
                side = SideProcess(task, threads=self.threads)
                stack.callback(side.close)
                rate = side.step().rate
            except RuntimeError as error:
                log.warning("  %s does not run: %s", name, error)
                continue
            log.info("  %s: %.3f %s/s", name, rate, contest.unit)
            peers = _keep_fastest([*peers, (rate, name, side)])
        if not peers:
            raise RuntimeError(f"{contest.name}: no peer runs; install the extra [bench]")
        return {name: side for _, name, side in peers}

    def _repeat(self, measure: Callable[[], Measured], times: int) -> Iterator[Measured]:
        """Yield what `measure` returns up to `times` times, at least once, until the row's patience ends."""
        for number in range(times):
            if number and time.monotonic() > self.patience:
                return
            yield measure()

    def _growth_rows(self, best: Setting) -> list[BenchmarkRow]:
        rows, negatives = self.sizes.row_growth, self.sizes.negative_growth
        many = Setting(best.settings, rows=max(rows))
        wide = Setting(best.settings, rows=4, negatives=max(negatives))
        tasks = (
            ("SFT step over rows", "row", rows, partial(ours.steps_over_rows, many, self._schedule(rows))),
            (
                *("S-DPO step over negatives", "negative", negatives),
                partial(ours.steps_over_negatives, wide, self._schedule(negatives)),
            ),
        )
        step_rows: list[BenchmarkRow] = [
            (f"growth of {name}", partial(self._measure_growth, name, unit, sizes, task))
            for name, unit, sizes, task in tasks
        ]
        return [*step_rows, ("growth of grounding over items", self._measure_grounding)]

    def _schedule(self, sizes: Sequence[int]) -> list[int]:
        """Return the first size as a warm-up, then all sizes, repeated."""
        return [sizes[0], *(size for _ in range(self.sizes.repeats) for size in sizes)]

    def _measure_growth(self, name: str, unit: str, sizes: Sequence[int], task: Task) -> None:
        """Add the growth of a task whose steps follow `_schedule`.

        Sizes take turns, so that changes of the machine's speed fall on all of them. A process reports its
        peak memory so far, so each size's own peak is read in the first round, and the largest size's at the
        end.
        """
        with SideProcess(task, threads=self.threads) as side:
            side.step()
            rounds = [[side.step() for _ in sizes] for _ in range(self.sizes.repeats)]
        peaks = [*(sample.peak_bytes for sample in rounds[0][:-1]), rounds[-1][-1].peak_bytes]
        self._add_growth(name, unit, sizes, list(zip(*rounds, strict=True)), peaks)

    def _measure_grounding(self) -> None:
        """Add the growth of grounding over items, with a process for each size."""
        sizes, samples = self.sizes.item_growth, list[list[Sample]]()
        for size in sizes:
            with SideProcess(partial(ranking.ground_titles, 100, size), threads=self.threads) as side:
                side.step()
                samples.append([side.step() for _ in range(3)])
        peaks = [steps[-1].peak_bytes for steps in samples]
        self._add_growth("grounding of 100 titles", "item", sizes, samples, peaks)

    def _add_growth(
        self,
        name: str,
        unit: str,
        sizes: Sequence[int],
        samples: Sequence[Sequence[Sample]],
        peaks: Sequence[int],
    ) -> None:
        seconds = [median(sample.seconds for sample in steps) for steps in samples]
        self.figures.growths.append(fit_growth(name, unit, sizes, seconds, peaks))

    def _check_rows(self, best: Setting, place: Path) -> list[BenchmarkRow]:
        pairs = Setting(best.settings, rows=MEMORY_PAIRS, negatives=1)
        return [
            ("memory of DPO", partial(self._measure_memory, pairs)),
            ("ablation with four arms", partial(self._measure_ablation, place, bf16=best.bf16)),
        ]

    def _measure_memory(self, setting: Setting) -> None:
        sample = self._last_sample(partial(ours.optimiser_step, setting), times=2)
        name = f"peak GB of DPO, {setting.rows} pairs a step"
        self.figures.checks.append(Check(name, sample.peak_bytes / 1e9, 2.5))

    def _measure_ablation(self, place: Path, *, bf16: bool) -> None:
        """Add the time of four arms over that of their distinct stages, and their time without the store."""
        first, later = self.sizes.ablation
        rows = (f"sft_rows={first}", f"iteration_rows={later}", f"test_rows={later}", "iterations=1")
        changes = [f"store.path={place / 'stages'}", *(f"budget.{size}" for size in rows)]
        arms = [default_settings(*changes, *arm, bf16=bf16, threads=self.threads) for arm in ablation.ARMS]
        sample = self._last_sample(partial(ablation.run_arms, arms, place))
        parts = sample.work.parts
        self.figures.checks += [
            Check("4-arm ablation: time over its distinct stages", sample.seconds / parts["distinct"], 1.05),
            Check("4-arm ablation: without the store, over with", parts["apart"] / sample.seconds, None),
        ]

    def _last_sample(self, task: Task, times: int = 1) -> Sample:
        """Return the last of `times` steps in a process of its own; the earlier ones warm up."""
        with SideProcess(task, threads=self.threads) as side:
            return [side.step() for _ in range(times)][-1]


def _keep_fastest(peers: list[WarmPeer]) -> list[WarmPeer]:
    """Return the peers that go on, fastest first, and end the processes of the others."""
    order = sorted(peers, key=lambda peer: peer[0], reverse=True)
    finalists = [peer for peer in order[:FINALISTS] if peer[0] >= FINALIST_SHARE * order[0][0]]
    for _, _, side in order[len(finalists) :]:
        side.close()
    return finalists


def _format_rates(rates: Mapping[str, float]) -> str:
    return "; ".join(f"{name} {rate:.3f}/s" for name, rate in rates.items())
