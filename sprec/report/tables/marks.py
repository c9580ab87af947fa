"""Which cells of a table are marked as best and second."""

import math
from collections.abc import Callable, Sequence

from sprec.report.tables.columns import better, sign
from sprec.report.tables.table import Mark


def marks(
    values: Sequence[float], key: str, counts: Callable[[int, int], bool] | None = None
) -> dict[int, Mark]:
    """Return the rows with the best and the second-best value of a score, NaN being no value.

    Equal values share a mark. `counts(row, next)` says whether the lead of a row over the next worse one
    is more than chance; without it every lead counts. A single value is no best.

    >>> marks([0.1, 0.3, math.nan, 0.2], "hr@5")
    {1: 'best', 3: 'second'}
    >>> marks([0.1, 0.3, 0.3, 0.2], "or_ratio@5", lambda row, following: row == 0)
    {0: 'best'}
    """
    order = sorted({value for value in values if not math.isnan(value)}, key=lambda each: -sign(key) * each)
    found: dict[int, Mark] = {}
    names: tuple[Mark, Mark] = ("best", "second")
    for name, value, following in zip(names, order, order[1:], strict=False):
        places = [place for place, each in enumerate(values) if each == value]
        after = list(values).index(following)
        assert better(key, value, following)
        if counts is None or any(counts(place, after) for place in places):
            found |= dict.fromkeys(places, name)
    return found
