"""Values of a benchmark: timed steps, contests of two sides, growth over sizes, checks against limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import truediv
from statistics import median

import numpy as np


@dataclass(frozen=True)
class Work:
    """What one step did, in the contest's unit and in tokens of prompts and answers.

    `seconds` is set where the side has a clock of its own, because its step cannot be called without its
    surroundings. `parts` holds further seconds by name.
    """

    units: int
    tokens: int
    seconds: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


Step = Callable[[], Work]
Task = Callable[[], Step]
"""Prepares one side in a process of its own; has to be picklable."""


@dataclass(frozen=True)
class Sample:
    """One timed step, and the peak resident memory of its process so far in bytes."""

    work: Work
    seconds: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.work.units / self.seconds


@dataclass(frozen=True)
class Contest:
    """One row of the benchmark.

    Every candidate of `peers` takes one step, and the fastest go on to pairs of steps with ours. `flops`
    returns the necessary FLOPs of one of our steps, `at_least` is the ratio to reach, if any. `precision` is
    the number format of the matrix products on both sides. `estimate_seconds` returns what `+plan=true`
    predicts for a step of ours.
    """

    name: str
    unit: str
    ours: Task
    peers: Mapping[str, Task]
    at_least: float | None = None
    flops: Callable[[], float] | None = None
    precision: str = "bf16"
    estimate_seconds: Callable[[], float] | None = None


@dataclass(frozen=True)
class Outcome:
    """A contest's figures: medians over pairs of steps, rates in units per second.

    `peak_share` is the necessary FLOPs per second over those of the fastest product just before the step;
    `ratio_at_peak` is the ratio that our step would have if it ran at that speed.
    """

    name: str
    unit: str
    peer: str
    ours_rate: float
    peer_rate: float
    ratio: float
    ratio_low: float
    ratio_high: float
    pairs: int
    tokens_per_second: float
    ours_bytes: int
    peer_bytes: int
    at_least: float | None
    peak_share: float | None
    ratio_at_peak: float | None


def summarize_contest(
    contest: Contest, peer: str, pairs: Sequence[tuple[Sample, Sample]], peaks: Sequence[float] = ()
) -> Outcome:
    """Return medians over (ours, peer) pairs, and the range of the pairs' ratios.

    `peaks` are the FLOP per second of the fastest product before each pair, where the contest counts FLOPs.
    """
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    ratios = [own.rate / other.rate for own, other in pairs]
    necessary = contest.flops() if contest.flops else 0.0
    shares = [necessary / own.seconds / peak for own, peak in zip(ours, peaks, strict=bool(peaks))]
    return Outcome(
        contest.name,
        contest.unit,
        peer,
        ours_rate=median(sample.rate for sample in ours),
        peer_rate=median(sample.rate for sample in theirs),
        ratio=median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        pairs=len(pairs),
        tokens_per_second=median(sample.work.tokens / sample.seconds for sample in ours),
        ours_bytes=max(sample.peak_bytes for sample in ours),
        peer_bytes=max(sample.peak_bytes for sample in theirs),
        at_least=contest.at_least,
        peak_share=median(shares) if shares else None,
        ratio_at_peak=median(map(truediv, ratios, shares)) if shares else None,
    )


@dataclass(frozen=True)
class Check:
    """A figure beside its limit: a lower limit where `at_least`, else an upper one; None means no limit."""

    name: str
    value: float
    limit: float | None
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the figure is within its limit.

        >>> Check("share", 0.4, 0.5, at_least=True).passed, Check("GB", 1.9, 2.5).passed
        (False, True)
        """
        return self.limit is None or (self.value >= self.limit if self.at_least else self.value <= self.limit)


@dataclass(frozen=True)
class Growth:
    """Median seconds and peak memory over sizes, and the least-squares line through the seconds."""

    name: str
    unit: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    peak_bytes: tuple[int, ...]
    slope: float
    intercept: float
    r2: float


def fit_growth(
    name: str, unit: str, sizes: Sequence[int], seconds: Sequence[float], peak_bytes: Sequence[int]
) -> Growth:
    """Return the growth with its fitted line; `r2` is 1 where every point lies on the line.

    Args:
        name: what is measured.
        unit: what the sizes count.
        sizes: the sizes, smallest first.
        seconds: median seconds of each size.
        peak_bytes: peak memory of each size.

    """
    slope, intercept, r2 = fit_line(sizes, seconds)
    return Growth(name, unit, tuple(sizes), tuple(seconds), tuple(peak_bytes), slope, intercept, r2)


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Return slope, intercept and R² of the least-squares line.

    >>> [round(value, 3) for value in fit_line([1, 2, 3], [3.0, 5.0, 7.0])]
    [2.0, 1.0, 1.0]
    """
    x, y = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
    slope, intercept = np.polyfit(x, y, 1)
    residual, total = ((y - slope * x - intercept) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return float(slope), float(intercept), float(1 - residual / total) if total else 1.0
