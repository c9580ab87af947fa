"""What reports rely on in a record beyond its fields' types, checked once, where the record is read."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sprec.records.encoded_ids import decode_ids
from sprec.records.record_file import RecordError
from sprec.records.run_record import Evaluation, RunRecord

MOST_ITEMS = 1 << 24
"""Item ids are below it. They are rows of a table of genres, which a stray large id would make endless."""

Ids: TypeAlias = NDArray[np.integer]


def load_checked(path: Path) -> RunRecord:
    """Return the record in a file; `RecordError` where it cannot be read, or fails `check_record`."""
    record = RunRecord.load(path)
    try:
        check_record(record)
    except ValueError as error:
        reason = str(error).removesuffix("; run again")
        raise RecordError(f"{path}: {reason}; run again, or leave the file out") from error
    return record


def check_record(record: RunRecord) -> None:
    """Raise `ValueError` for times, users, lists or ids that no report can show.

    A record may lack lists, targets and items: an old one does, and one of a run that ended early.
    """
    _check_times(record)
    items = _ids_of_items(record)
    targets = _decode("targets", record.targets, 1)
    _check_ids("targets", targets, items)
    users = [[*user.history, user.target] for user in record.sampled_users]
    _check_ids("sampled users", np.array([item for ids in users for item in ids], dtype=np.int64), items)
    for evaluation in record.evaluations:
        _check_evaluation(evaluation)
        if evaluation.lists:
            _check_lists(record, evaluation, items)
            if record.targets and len(targets) != evaluation.n:
                raise ValueError(f"{len(targets)} targets for {_of(evaluation)}'s {evaluation.n} users")


def _check_times(record: RunRecord) -> None:
    for name, time in (("started", record.started), ("finished", record.finished)):
        if time is None:
            continue
        try:
            is_complete = datetime.fromisoformat(time).tzinfo is not None
        except ValueError:
            is_complete = False
        if not is_complete:
            raise ValueError(f"field {name!r} is {time[:40]!r}, no ISO 8601 time with its zone")


def _ids_of_items(record: RunRecord) -> Ids:
    """Return the ids that `items` describes."""
    numbers = [int(name) for name in record.items]
    if numbers and not 0 <= min(numbers) <= max(numbers) < MOST_ITEMS:
        raise ValueError(f"items have ids from {min(numbers)} to {max(numbers)}, not below {MOST_ITEMS}")
    return np.array(numbers, dtype=np.int64)


def _check_evaluation(evaluation: Evaluation) -> None:
    if evaluation.scores and evaluation.n < 1:
        raise ValueError(f"{_of(evaluation)} has scores of {evaluation.n} users")
    if min(_cutoffs(evaluation.scores), default=1) < 1:
        raise ValueError(f"{_of(evaluation)} has a score of lists without a place")


def _check_lists(record: RunRecord, evaluation: Evaluation, items: Ids) -> None:
    if record.history_genres and not len(items):
        raise ValueError(f"{_of(evaluation)} has lists, but the record describes no item")
    # One flat column: a width that does not fit would be an error without the two numbers that differ.
    ids = _decode(_of(evaluation), evaluation.lists, 1)
    length = max(_cutoffs(evaluation.scores), default=1)
    if ids.size != evaluation.n * length:
        raise ValueError(
            f"{_of(evaluation)} has {ids.size} ids in its lists, not {length} for each of "
            f"{evaluation.n} users"
        )
    _check_ids(_of(evaluation), ids, items)
    if last := [user.row for user in record.sampled_users if user.row >= evaluation.n]:
        raise ValueError(f"{_of(evaluation)} has no list for the sampled user {last[0]}")


def _check_ids(owner: str, ids: Ids, items: Ids) -> None:
    """Raise `ValueError` for an id that `items` lack, or that is none; -1 stands for no item."""
    if not ids.size:
        return
    if not -1 <= ids.min() <= ids.max() < MOST_ITEMS:
        raise ValueError(f"{owner}: ids from {ids.min()} to {ids.max()}, not from -1 to {MOST_ITEMS - 1}")
    unknown = ids[(ids >= 0) & ~np.isin(ids, items)]
    if len(items) and unknown.size:
        raise ValueError(f"{owner}: the record does not describe item {unknown[0]}")


def _decode(owner: str, text: str, width: int) -> Ids:
    try:
        return decode_ids(text, width)
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from error


def _cutoffs(scores: Mapping[str, float]) -> Iterable[int]:
    """Yield the list length of each score that has one, as 5 of `ndcg@5`."""
    for key in scores:
        cutoff = key.partition("@")[2]
        if cutoff.isdigit():  # as the registry of metrics asks; a digit such as ² is an error of `int`
            yield int(cutoff)


def _of(evaluation: Evaluation) -> str:
    """Return an evaluation's name for a message; a stranger's label may have megabytes."""
    return f"evaluation {evaluation.label[:40]!r}"
