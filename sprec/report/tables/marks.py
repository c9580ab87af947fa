"""Which cells of a table are marked as best and second."""

import math
from collections.abc import Callable, Sequence

from sprec.evaluation.registry import direction_of
from sprec.report.tables.columns import is_better
from sprec.report.tables.table import Mark


def mark_best(
    values: Sequence[float], key: str, leads: Callable[[int, int], bool] | None = None
) -> dict[int, Mark]:
    """Return the rows with the best and the second-best value of a score; NaN is no value.

    Equal values share a mark. `leads(row, next)` says whether the lead of a row over the next worse one
    is more than chance; without it every lead counts. A single value is no best.

    >>> mark_best([0.1, 0.3, math.nan, 0.2], "hr@5")
    {1: 'best', 3: 'second'}
    >>> mark_best([0.1, 0.3, 0.3, 0.2], "or_ratio@5", lambda row, following: row == 0)
    {0: 'best'}
    """
    # Where nobody knows which way is better, no value is.
    numbers = {value for value in values if direction_of(key) and not math.isnan(value)}
    order = sorted(numbers, key=lambda value: -direction_of(key) * value)
    marked: dict[int, Mark] = {}
    names: tuple[Mark, Mark] = ("best", "second")
    for name, value, following in zip(names, order, order[1:], strict=False):
        places = [place for place, other in enumerate(values) if other == value]
        after = list(values).index(following)
        assert is_better(key, value, following)
        if leads is None or any(leads(place, after) for place in places):
            marked |= dict.fromkeys(places, name)
    return marked
