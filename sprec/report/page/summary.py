"""What a reader wants to know first: what changed between the initial SFT and the last iteration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sprec.evaluation.registry import direction_of, label_of
from sprec.report.figures.series import ArmSeries, last_differences, mean_score
from sprec.report.tables.columns import OFF_CATALOG, headline_keys
from sprec.report.tables.comparison import FEW_RUNS
from sprec.report.tables.per_user_values import cutoffs_of
from sprec.report.tables.table import Difference

Verdict: TypeAlias = Literal["better", "worse", "unclear", "no change", "not tested"]


# A difference that chance explains is no news; one that nobody can test still is.
WITH_VALUES = ("better", "worse", "not tested")
CLAUSES: Mapping[Verdict, str] = {
    "better": "better in",
    "worse": "worse in",
    "unclear": "no difference beyond chance in",
    "no change": "unchanged in",
    "not tested": "without a test,",
}
"""How a sentence begins that names the metrics of a verdict."""


@dataclass(frozen=True)
class ScoreChange:
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
class ArmSummary:
    """An arm's changes over `iterations` iterations and `seeds` seeds."""

    name: str
    iterations: int
    seeds: int
    changes: tuple[ScoreChange, ...]

    @property
    def news(self) -> str:
        """What the arm made better or worse, in a few words."""
        clauses = []
        for verdict in ("better", "worse"):
            if metrics := [change.metric for change in self.changes if change.verdict == verdict]:
                clauses.append(f"{verdict} in {_join(metrics)}")
        if all(change.verdict == "not tested" for change in self.changes):
            return "not tested"
        return "; ".join(clauses) or "no difference beyond chance"


def summarize_arms(series: Sequence[ArmSeries]) -> list[ArmSummary]:
    """Return the changes of each arm that has iterations, p-values being corrected over all of them."""
    iterated = [arm for arm in series if len(arm.iterations) > 1]
    with_lists = [arm.last for arm in iterated if cutoffs_of(arm.last)]
    keys = list(dict.fromkeys(key for last in with_lists for key in (*headline_keys(last), OFF_CATALOG)))
    tested = [key for key in keys if key != OFF_CATALOG]
    # One correction for all that the section states at a glance.
    few = sum(len(arm.runs) for arm in iterated) <= FEW_RUNS
    differences = last_differences(iterated, tested) if few else {}
    return [
        _summarize(arm, {key: differences.get((place, key)) for key in keys})
        for place, arm in enumerate(iterated)
    ]


def result_sentence(summary: ArmSummary) -> str:
    """Return in one sentence what the arm's iterations changed, and what cannot be told from chance."""
    by_verdict: dict[str, list[str]] = {}
    for change in summary.changes:
        if change.verdict == "not tested" and change.before == change.after:
            continue
        values = f" ({change.before:.3f} → {change.after:.3f})" if change.verdict in WITH_VALUES else ""
        by_verdict.setdefault(change.verdict, []).append(f"{change.metric}{values}")
    clauses = [
        f"{words} {_join(by_verdict[verdict])}" for verdict, words in CLAUSES.items() if verdict in by_verdict
    ]
    iterations = "iteration" if summary.iterations == 1 else "iterations"
    seeds = "one seed" if summary.seeds == 1 else f"{summary.seeds} seeds"
    return (
        f"After {summary.iterations} {iterations}, {summary.name} beside the initial SFT, {seeds}: "
        f"{'; '.join(clauses)}."
    )


def _join(words: Sequence[str]) -> str:
    """Return words as a list in prose.

    >>> _join(["a", "b", "c"]), _join(["a"])
    ('a, b and c', 'a')
    """
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def judge(difference: Difference | None, *, up: bool) -> Verdict:
    """Return what a difference's test and interval together allow to say.

    >>> judge(Difference(0.1, 0.05, 0.15, 0.01), up=False)
    'worse'
    """
    if difference is None:
        return "not tested"
    if difference.mean == difference.low == difference.high == 0:
        return "no change"
    if not difference.significant:
        return "unclear"
    return "better" if (difference.mean > 0) == up else "worse"


def _summarize(arm: ArmSeries, differences: Mapping[str, Difference | None]) -> ArmSummary:
    changes = (_change(arm, key, difference) for key, difference in differences.items())
    known = tuple(change for change in changes if change is not None)
    return ArmSummary(arm.name, max(arm.iterations), len(arm.last), known)


def _change(arm: ArmSeries, key: str, difference: Difference | None) -> ScoreChange | None:
    """Return one metric's change, None where a seed lacks it before or after."""
    before, after = mean_score(arm.compared, key), mean_score(arm.last, key)
    if before is None or after is None:
        return None
    up = direction_of(key) > 0
    return ScoreChange(label_of(key), up, before.mean, after.mean, difference, judge(difference, up=up))
