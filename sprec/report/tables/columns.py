"""Columns of score tables: which scores, under which heads, and which value is better."""

from collections.abc import Iterable, Sequence

from sprec.evaluation.registry import METRICS, direction_of, split_key
from sprec.records.run_record import Evaluation
from sprec.report.labels import LABELS, Labels, find_score

OFF_CATALOG = METRICS["off_catalog"].name
# The metrics that have a column per list length, in the order of the columns.
LIST_METRICS = [metric for metric in METRICS.values() if metric.in_tables and metric.has_cutoff]

DEFAULT_CUTOFFS = (1, 5)


def score_keys(evaluations: Iterable[Evaluation], cutoffs: Sequence[int] = ()) -> list[str]:
    """Return the score names that have columns, cutoff by cutoff, then the off-catalogue share.

    A score that no evaluation has, such as MGU on data without genres, has no column. `cutoffs` chooses among
    those that were scored; none chooses all. `ValueError` for one that was not.
    """
    keys = {key for evaluation in evaluations for key in evaluation.scores}
    names = {metric.name for metric in LIST_METRICS}
    scored = {cutoff for name, cutoff in map(split_key, keys) if name in names and cutoff is not None}
    if absent := set(cutoffs) - scored:
        listed = ", ".join(map(str, sorted(scored))) or "none"
        raise ValueError(f"--k {min(absent)}: no run was scored at this list length; there is {listed}")
    chosen = sorted(set(cutoffs) or scored) or DEFAULT_CUTOFFS
    # NDCG@1 is HR@1: a second column would show the same numbers.
    pairs = [(metric, cutoff) for cutoff in chosen for metric in LIST_METRICS]
    named = [metric.key(k) for metric, k in pairs if (metric.name, k) != ("ndcg", 1)]
    return [key for key in named if key in keys or not scored] + [OFF_CATALOG]


def choose_keys(
    evaluations: Iterable[Evaluation], columns: Sequence[str] = (), cutoffs: Sequence[int] = ()
) -> list[str]:
    """Return the scores that a reader names, by key or label, or all of these list lengths."""
    evaluations = list(evaluations)
    if not columns:
        return score_keys(evaluations, cutoffs)
    return list(find_columns(evaluations, columns))


def find_columns(evaluations: Iterable[Evaluation], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the scores that a reader names, by key or label; `ValueError` for an unknown one."""
    scored = dict.fromkeys(key for evaluation in evaluations for key in evaluation.scores)
    return tuple(find_score(column, scored) for column in columns)


def headline_keys(evaluations: Iterable[Evaluation], cutoffs: Sequence[int] = ()) -> list[str]:
    """Return the scores that say most, seven at most: accuracy at the longest list, diversity at both ends.

    Without a second list length, what would be there twice is there once.
    """
    keys = score_keys(evaluations, cutoffs)
    lengths = [cutoff for _, cutoff in map(split_key, keys) if cutoff is not None]
    first, last = min(lengths), max(lengths)
    wanted = [f"hr@{last}", f"ndcg@{last}", f"div_ratio@{first}", f"or_ratio@{first}"]
    wanted += [f"or_ratio@{last}", f"mgu@{last}", f"dgu@{last}"]
    return [key for key in dict.fromkeys(wanted) if key in keys]


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


def arrows(keys: Iterable[str], labels: Labels = LABELS) -> dict[str, str]:
    """Return for each score's label the arrow to its better side."""
    directions = {key: direction_of(key) for key in keys}
    return {labels.score(key): "↑" if way > 0 else "↓" for key, way in directions.items() if way}
