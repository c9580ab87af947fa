"""What a reader wants to know first: what changed between the initial SFT and the last iteration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sprec.report.figures.series import Trace, cutoffs, score
from sprec.report.tables.assemble import FEW_RUNS
from sprec.report.tables.columns import OFF_CATALOG, head, sign
from sprec.report.tables.differences import compare
from sprec.report.tables.table import Difference
from sprec.report.tables.table_rows import Row, Source

Verdict: TypeAlias = Literal["better", "worse", "unclear", "no change", "not tested"]


@dataclass(frozen=True)
class Change:
    """A metric's mean before and after self-play, better where higher if `up`.

    `difference` is None where the records lack the lists that an interval and a test need.
    """

    metric: str
    up: bool
    before: float
    after: float
    difference: Difference | None
    verdict: Verdict


@dataclass(frozen=True)
class Glance:
    """An arm's changes over `iterations` iterations and `seeds` seeds."""

    name: str
    iterations: int
    seeds: int
    changes: tuple[Change, ...]


def glances(traces: Sequence[Trace]) -> list[Glance]:
    """Return the changes of each arm that has iterations, p-values being corrected over all of them."""
    iterated = [trace for trace in traces if len(trace.iterations) > 1]
    keys = list(dict.fromkeys(key for trace in iterated for key in _keys(trace)))
    tested = [key for key in keys if key != OFF_CATALOG]
    few = sum(len(trace.runs) for trace in iterated) <= FEW_RUNS
    found = compare([_row(trace) for trace in iterated], None, tested) if few else {}
    return [
        _glance(trace, keys, {key: each for (at, key), each in found.items() if at == place})
        for place, trace in enumerate(iterated)
    ]


def verdict(difference: Difference | None, *, up: bool) -> Verdict:
    """Return what a difference's test and interval together allow to say.

    >>> verdict(Difference(0.1, 0.05, 0.15, 0.01), up=False)
    'worse'
    """
    if difference is None:
        return "not tested"
    if difference.mean == difference.low == difference.high == 0:
        return "no change"
    if not difference.significant:
        return "unclear"
    return "better" if (difference.mean > 0) == up else "worse"


def _glance(trace: Trace, keys: Sequence[str], found: Mapping[str, Difference]) -> Glance:
    changes = (_change(trace, key, found.get(key)) for key in keys)
    known = tuple(each for each in changes if each is not None)
    return Glance(trace.name, max(trace.iterations), len(trace.last), known)


def _change(trace: Trace, key: str, difference: Difference | None) -> Change | None:
    """Return one metric's change, None where a seed lacks it before or after."""
    start, end = score(trace.first, key), score(trace.last, key)
    if start is None or end is None:
        return None
    up = sign(key) > 0
    return Change(head(key), up, start.mean, end.mean, difference, verdict(difference, up=up))


def _row(trace: Trace) -> Row:
    """Return the arm's last iteration as a table's row."""
    last = {id(each) for each in trace.last}
    pairs = [(run, each) for run in trace.runs for each in run.evaluations if id(each) in last]
    return Row((trace.name,), {run.seed: Source(run, each) for run, each in pairs})


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
