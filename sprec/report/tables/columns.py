"""Columns of score tables: which scores, under which heads, and which value is better."""

from collections.abc import Iterable, Sequence

from sprec.evaluation.registry import METRICS, direction_of, label_of, split_key
from sprec.records.run_record import Evaluation

OFF_CATALOG = METRICS["off_catalog"].name
# The metrics that have a column per list length, in the order of the columns.
LIST_METRICS = [metric for metric in METRICS.values() if metric.in_tables and metric.has_cutoff]

DEFAULT_CUTOFFS = (1, 5)


def score_keys(evaluations: Iterable[Evaluation], cutoffs: Sequence[int] = ()) -> list[str]:
    """Return the score names that have columns, cutoff by cutoff, then the off-catalogue share.

    `cutoffs` chooses among those that were scored; none chooses all. `ValueError` for one that was not.
    """
    keys = {key for evaluation in evaluations for key in evaluation.scores}
    names = {metric.name for metric in LIST_METRICS}
    scored = {cutoff for name, cutoff in map(split_key, keys) if name in names and cutoff is not None}
    if absent := set(cutoffs) - scored:
        listed = ", ".join(map(str, sorted(scored))) or "none"
        raise ValueError(f"--k {min(absent)}: no run was scored at this list length; there is {listed}")
    chosen = sorted(set(cutoffs) or scored) or DEFAULT_CUTOFFS
    return [metric.key(cutoff) for cutoff in chosen for metric in LIST_METRICS] + [OFF_CATALOG]


def column_group(key: str) -> str:
    """Return the head above a score's column, "" where there is none.

    >>> column_group("hr@5"), column_group("off_catalog")
    ('K = 5', '')
    """
    _, cutoff = split_key(key)
    return "" if cutoff is None else f"K = {cutoff}"


def is_better(key: str, one: float, two: float) -> bool:
    """Return whether the first value of a score is better than the second; NaN never is.

    >>> is_better("hr@1", 0.2, 0.1), is_better("or_ratio@1", 0.2, 0.1), is_better("hr@1", float("nan"), 0.1)
    (True, False, False)
    """
    return direction_of(key) * one > direction_of(key) * two


def arrows(keys: Iterable[str]) -> dict[str, str]:
    """Return for each score's label the arrow to its better side."""
    return {label_of(key): "↑" if direction_of(key) > 0 else "↓" for key in keys}
