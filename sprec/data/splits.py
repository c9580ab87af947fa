"""From interactions to examples, and from examples to train, valid and test. Pure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from sprec.data.examples import SCHEMA, Examples, Split

NAMES = ("train", "valid", "test")


def windows(frame: pl.DataFrame, *, history_min: int, history_max: int) -> pl.DataFrame:
    """Return one row of `SCHEMA` per interaction that has at least `history_min` before it.

    Each user's interactions are ordered by time, ties by their order in `frame`; a row's history
    is the last `history_max` items (fewer where there are fewer) before its target, oldest first,
    and its time is the target's. Rows come user by user, oldest first (Bao et al. 2023, BIGRec).
    Raises `ValueError` where not 1 ≤ history_min ≤ history_max.
    """
    if not 1 <= history_min <= history_max:
        raise ValueError(f"need 1 <= history_min <= history_max, got {history_min} and {history_max}")
    ordered = frame.select("user", "time", "item").sort("user", "time", maintain_order=True)
    place = ordered.select(pl.int_range(pl.len()).over("user").cast(pl.Int32).alias("place"))["place"]
    shifted = {
        f"history_{back}": pl.when(place >= back).then(pl.col("item").shift(back))
        for back in range(history_max, 0, -1)
    }
    rows = ordered.with_columns(**shifted).filter(place >= history_min)
    history = pl.concat_arr(*shifted).arr.to_list()  # ten times as fast as concat_list
    history = history if history_min == history_max else history.list.drop_nulls()
    columns = {"user": pl.col("user"), "time": pl.col("time"), "history": history, "target": pl.col("item")}
    return rows.select(columns[name].cast(kind).alias(name) for name, kind in SCHEMA.items())


def short_users(frame: pl.DataFrame, *, history_min: int) -> int:
    """Return how many users have too few interactions for one window, and so no row at all."""
    return frame.group_by("user").len().filter(pl.col("len") <= history_min).height


def chronological(
    frame: pl.DataFrame, ratios: Sequence[int] = (8, 1, 1), drops: Mapping[str, int] | None = None
) -> Split:
    """Return the split of all rows in order of time, ties by user and then by row order.

    The borders are the cumulative shares rounded down, so of 9,301,274 rows 8:1:1 gives the
    released 7,441,019 / 930,127 / 930,128. Raises `ValueError` naming a split without rows.
    """
    borders = [0, *(frame.height * share // sum(ratios) for share in accumulate(ratios))]
    ordered = frame.sort("time", "user", maintain_order=True)
    parts = {
        name: ordered[start:end] for name, start, end in zip(NAMES, borders[:-1], borders[1:], strict=True)
    }
    how = ":".join(map(str, ratios))
    train, valid, test = (Examples(_filled(parts[name], name, frame.height, how)) for name in NAMES)
    return Split(train, valid, test, drops or {})


def leave_one_out(
    frame: pl.DataFrame, ratios: Sequence[int] = (), drops: Mapping[str, int] | None = None
) -> Split:
    """Return the split in which each user's last row is for testing and the one before for validation.

    All others are for training, so a user with one row is only tested; `ratios` play no part. Each
    part is in order of time, ties by user. Raises `ValueError` naming a part without rows.
    """
    ordered = frame.sort("time", "user", maintain_order=True)
    left = ordered.select(pl.int_range(pl.len(), 0, -1).over("user").alias("left"))["left"]
    parts = {"train": ordered.filter(left > 2), "valid": ordered.filter(left == 2)}
    parts["test"] = ordered.filter(left == 1)
    train, valid, test = (
        Examples(_filled(parts[name], name, frame.height, "leave_one_out")) for name in NAMES
    )
    return Split(train, valid, test, drops or {})


def _filled(part: pl.DataFrame, name: str, rows: int, how: str) -> pl.DataFrame:
    if part.is_empty():
        raise ValueError(
            f"the {name} split is empty: {rows} rows at {how}; "
            "use more data, a shorter history_min, a lower min_rating or core, or another split"
        )
    return part


def without_repeats(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose target is not in their history."""
    return frame.filter(~pl.col("history").list.contains(pl.col("target")))


Splitter = Callable[[pl.DataFrame, Sequence[int], Mapping[str, int]], Split]
SPLITS: Mapping[str, Splitter] = {"chronological": chronological, "leave_one_out": leave_one_out}


def draw(rows: int, size: int | None, rng: Generator) -> NDArray[np.int64]:
    """Return `size` distinct row numbers below `rows`, in the order drawn.

    All of them, in their own order and without touching `rng`, where `size` is None or not smaller.
    Raises `ValueError` for a size below 1.
    """
    if size is not None and size < 1:
        raise ValueError(f"cannot sample {size} rows; give at least 1, or null for all")
    if size is None or size >= rows:
        return np.arange(rows)
    return rng.choice(rows, size, replace=False)


def sample(examples: Examples, size: int | None, rng: Generator) -> tuple[Examples, int]:
    """Return `size` rows drawn without replacement, and how many fewer there were than asked for.

    See `draw` for the order; the second value is 0 unless `examples` is smaller than `size`.
    """
    chosen = examples.take(draw(len(examples), size, rng).tolist())
    return chosen, max(0, (size or 0) - len(examples))
