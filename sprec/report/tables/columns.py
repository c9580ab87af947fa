"""Columns of score tables: which metrics, under which heads, and which way is better."""

from collections.abc import Iterable, Sequence

from sprec.records.run_record import Evaluation

METRICS = {"hr": "HR", "ndcg": "NDCG", "div_ratio": "Div", "or_ratio": "OR", "mgu": "MGU", "dgu": "DGU"}
"""Column heads of the metrics, in the order of the columns."""

OFF_CATALOG = "off_catalog"
LOWER_IS_BETTER = frozenset({"or_ratio", "mgu", "dgu", OFF_CATALOG})
DEFAULT_CUTOFFS = (1, 5)


def score_keys(evaluations: Iterable[Evaluation], cutoffs: Sequence[int] = ()) -> list[str]:
    """Return the score names that have columns, cutoff by cutoff, then the off-catalogue share.

    `cutoffs` chooses among those that were scored; none chooses all. `ValueError` for one that was not.
    """
    names = [key.partition("@") for each in evaluations for key in each.scores]
    found = {int(cutoff) for metric, _, cutoff in names if metric in METRICS and cutoff.isdigit()}
    if absent := set(cutoffs) - found:
        known = ", ".join(map(str, sorted(found))) or "none"
        raise ValueError(f"--k {min(absent)}: no run was scored at this list length; there is {known}")
    kept = sorted(set(cutoffs) or found) or DEFAULT_CUTOFFS
    return [f"{metric}@{cutoff}" for cutoff in kept for metric in METRICS] + [OFF_CATALOG]


def head(key: str) -> str:
    """Return the head of a score's column.

    >>> head("or_ratio@5"), head("off_catalog")
    ('OR@5', 'off-catalogue')
    """
    metric, _, cutoff = key.partition("@")
    return f"{METRICS[metric]}@{cutoff}" if cutoff else "off-catalogue"


def group(key: str) -> str:
    """Return the head above a score's column, "" where there is none.

    >>> group("hr@5"), group("off_catalog")
    ('K = 5', '')
    """
    return f"K = {key.partition('@')[2]}" if "@" in key else ""


def sign(key: str) -> int:
    """Return 1 where more is better, −1 where less is."""
    return -1 if key.partition("@")[0] in LOWER_IS_BETTER else 1


def better(key: str, one: float, two: float) -> bool:
    """Say whether the first value of a score is better than the second; what is no number never is.

    >>> better("hr@1", 0.2, 0.1), better("or_ratio@1", 0.2, 0.1), better("hr@1", float("nan"), 0.1)
    (True, False, False)
    """
    return sign(key) * one > sign(key) * two
