"""From interactions to examples, and from examples to train, valid and test. Pure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from sprec.data.examples import EXAMPLE_SCHEMA, Examples, Split

SPLIT_NAMES = ("train", "valid", "test")


def sliding_windows(frame: pl.DataFrame, *, history_min: int, history_max: int) -> pl.DataFrame:
    """Return one row of `EXAMPLE_SCHEMA` per interaction that has at least `history_min` before it.

    Each user's interactions are ordered by time, ties by their order in `frame`; a row's history
    is the last `history_max` items (fewer where there are fewer) before its target, oldest first,
    and its time is the target's. Rows come user by user, oldest first (Bao et al. 2023, BIGRec).
    Raises `ValueError` where not 1 ≤ history_min ≤ history_max.
    """
    if not 1 <= history_min <= history_max:
        raise ValueError(f"need 1 <= history_min <= history_max, got {history_min} and {history_max}")
    ordered = frame.select("user", "time", "item").sort("user", "time", maintain_order=True)
    position = ordered.select(pl.int_range(pl.len()).over("user").cast(pl.Int32).alias("position"))[
        "position"
    ]
    shifted = {
        # `shift` reaches back into the user before; the position says where this user begins.
        f"history_{back}": pl.when(position >= back).then(pl.col("item").shift(back))
        for back in range(history_max, 0, -1)
    }
    rows = ordered.with_columns(**shifted).filter(position >= history_min)
    history = pl.concat_arr(*shifted).arr.to_list()  # ten times as fast as concat_list
    history = history if history_min == history_max else history.list.drop_nulls()
    columns = {"user": pl.col("user"), "time": pl.col("time"), "history": history, "target": pl.col("item")}
    return rows.select(columns[name].cast(kind).alias(name) for name, kind in EXAMPLE_SCHEMA.items())


def count_short_users(frame: pl.DataFrame, *, history_min: int) -> int:
    """Return how many users have too few interactions for one window, and so no row at all."""
    return frame.group_by("user").len().filter(pl.col("len") <= history_min).height


def chronological(
    frame: pl.DataFrame, ratios: Sequence[int] = (8, 1, 1), drops: Mapping[str, int] | None = None
) -> Split:
    """Return the split of all rows in order of time, ties by user and then by row order.

    The borders are the cumulative shares rounded down, so of 9,301,274 rows 8:1:1 gives the
    released 7,441,019 / 930,127 / 930,128. Raises `ValueError` naming a split without rows, or the
    ratios where they are not three shares of 0 or more.
    """
    check_ratios(ratios)
    # Cumulative borders, since rounding each share for itself would lose rows.
    borders = [0, *(frame.height * share // sum(ratios) for share in accumulate(ratios))]
    ordered = frame.sort("time", "user", maintain_order=True)
    parts = {
        name: ordered[start:end]
        for name, start, end in zip(SPLIT_NAMES, borders[:-1], borders[1:], strict=True)
    }
    return _make_split(parts, frame.height, ":".join(map(str, ratios)), drops)


def check_ratios(ratios: Sequence[int]) -> None:
    """Raise `ValueError` unless there are three shares, none below 0 and not all 0."""
    if len(ratios) != len(SPLIT_NAMES) or min(ratios) < 0 or not sum(ratios):
        raise ValueError(
            f"dataset.ratios = {list(ratios)}; give three shares of 0 or more, of train, valid and test, "
            "as in [8,1,1]"
        )


def leave_one_out(
    frame: pl.DataFrame, ratios: Sequence[int] = (), drops: Mapping[str, int] | None = None
) -> Split:
    """Return the split in which each user's last row is for testing and the one before for validation.

    All others are for training, so a user with one row is only tested; `ratios` play no part. Each
    split is in order of time, ties by user. Raises `ValueError` naming a split without rows.
    """
    ordered = frame.sort("time", "user", maintain_order=True)
    from_end = ordered.select(pl.int_range(pl.len(), 0, -1).over("user").alias("from_end"))["from_end"]
    parts = {"train": ordered.filter(from_end > 2), "valid": ordered.filter(from_end == 2)}
    parts["test"] = ordered.filter(from_end == 1)
    return _make_split(parts, frame.height, "leave_one_out", drops)


def _make_split(
    parts: Mapping[str, pl.DataFrame], rows: int, rule: str, drops: Mapping[str, int] | None
) -> Split:
    for name in SPLIT_NAMES:
        if parts[name].is_empty():
            raise ValueError(
                f"the {name} split is empty: {rows} rows at {rule}; "
                "use more data, a shorter history_min, a lower min_rating or core, or another split"
            )
    train, valid, test = (Examples(parts[name]) for name in SPLIT_NAMES)
    return Split(train, valid, test, drops or {})


def drop_repeated_targets(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose target is not in their history."""
    return frame.filter(~pl.col("history").list.contains(pl.col("target")))


Splitter = Callable[[pl.DataFrame, Sequence[int], Mapping[str, int]], Split]
SPLITTERS: Mapping[str, Splitter] = {"chronological": chronological, "leave_one_out": leave_one_out}


def sample_row_numbers(rows: int, size: int | None, rng: Generator) -> NDArray[np.int64]:
    """Return `size` distinct row numbers below `rows`, in the order drawn.

    All of them, in their own order and without touching `rng`, where `size` is None or not smaller.
    Raises `ValueError` for a size below 1.
    """
    if size is not None and size < 1:
        raise ValueError(f"cannot sample {size} rows; give at least 1, or null for all")
    if size is None or size >= rows:
        return np.arange(rows)
    return rng.choice(rows, size, replace=False)
