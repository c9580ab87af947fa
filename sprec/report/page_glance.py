"""What a reader wants to know first: what changed between the initial SFT and the last iteration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sprec.report.figures_scores import OFF_CATALOG, name_of
from sprec.report.figures_series import Estimate, Trace, change, cutoffs, higher_is_better, score

Verdict: TypeAlias = Literal["better", "worse", "no clear change", "no change", "few seeds"]

FEWEST = 3
"""Seeds from which a verdict is given."""


@dataclass(frozen=True)
class Change:
    """A metric before and after self-play, better where higher if `up`; `difference` is paired by seed."""

    metric: str
    up: bool
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
    found = (reading(trace, key) for key in _keys(trace))
    changes = tuple(each for each in found if each is not None)
    return Glance(trace.name, max(trace.iterations), len(trace.last), changes)


def reading(trace: Trace, key: str) -> Change | None:
    """Return one metric's change, None where a seed lacks it before or after."""
    start, end = score(trace.first, key), score(trace.last, key)
    difference = change(trace.first, trace.last, key)
    if start is None or end is None or difference is None:
        return None
    up = higher_is_better(key)
    return Change(name_of(key), up, start.mean, end.mean, difference, verdict(difference, up=up))


def verdict(difference: Estimate, *, up: bool) -> Verdict:
    """Return what a difference's interval allows to say: nothing below `FEWEST` seeds, or where all agree.

    Hits are counts: two or three seeds may agree by chance, and the interval has no width then.

    >>> verdict(Estimate(0.1, 0.05, 0.15, 3), up=False), verdict(Estimate(0.1, -0.1, 0.3, 3), up=True)
    ('worse', 'no clear change')
    """
    if difference.mean == difference.low == difference.high == 0:
        return "no change"
    if difference.seeds < FEWEST or difference.low == difference.high:
        return "few seeds"
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
