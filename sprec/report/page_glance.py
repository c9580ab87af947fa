"""What a reader wants to know first: what changed between the initial SFT and the last iteration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sprec.report.figures_scores import OFF_CATALOG, name_of
from sprec.report.figures_series import Estimate, Trace, cutoffs, estimate, higher_is_better

Verdict: TypeAlias = Literal["better", "worse", "no clear change", "no change", "one seed"]


@dataclass(frozen=True)
class Change:
    """A metric before and after self-play; `difference` is paired by seed, and so is its 95 % interval."""

    metric: str
    way: str
    before: float
    after: float
    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Glance:
    """An arm's changes over `iterations` iterations and `seeds` seeds."""

    name: str
    iterations: int
    seeds: int
    changes: tuple[Change, ...]


def glance(trace: Trace) -> Glance | None:
    """Return the arm's changes, None where it has one model only."""
    if len(trace.iterations) < 2:
        return None
    found = (change(trace, key) for key in _keys(trace))
    changes = tuple(each for each in found if each is not None)
    return Glance(trace.name, max(trace.iterations), len(trace.last), changes)


def change(trace: Trace, key: str) -> Change | None:
    """Return one metric's change, None where a seed lacks it before or after."""
    before = [each.scores.get(key, math.nan) for each in trace.first]
    after = [each.scores.get(key, math.nan) for each in trace.last]
    if len(before) != len(after):
        return None
    start, end = estimate(before), estimate(after)
    difference = estimate([two - one for one, two in zip(before, after, strict=True)])
    if start is None or end is None or difference is None:
        return None
    up = higher_is_better(key)
    way = "higher is better" if up else "lower is better"
    return Change(name_of(key), way, start.mean, end.mean, difference, verdict(difference, up=up))


def verdict(difference: Estimate, *, up: bool) -> Verdict:
    """Return what a difference's interval allows to say.

    >>> verdict(Estimate(0.1, 0.05, 0.15, 3), up=False), verdict(Estimate(0.1, -0.1, 0.3, 3), up=True)
    ('worse', 'no clear change')
    """
    if difference.mean == difference.low == difference.high == 0:
        return "no change"
    if difference.seeds == 1:
        return "one seed"
    if difference.low <= 0 <= difference.high:
        return "no clear change"
    return "better" if (difference.mean > 0) == up else "worse"


def _keys(trace: Trace) -> Sequence[str]:
    """Return the scores that say most: accuracy at the longest list, the rest at the shortest."""
    lengths = cutoffs(trace.last)
    if not lengths:
        return ()
    first, last = lengths[0], lengths[-1]
    return (
        *(f"or_ratio@{first}", f"div_ratio@{first}", f"mgu@{first}"),
        *(f"hr@{last}", f"ndcg@{last}", OFF_CATALOG),
    )
