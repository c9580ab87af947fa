"""The lists, targets and genres behind the scores of runs on one dataset."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sprec.evaluation.jackknife import pseudo_values
from sprec.evaluation.metrics import genre_masses
from sprec.records.encoded_ids import decode_ids
from sprec.records.run_record import Evaluation, RunRecord

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]


class Evidence:
    """Unpacks what records hold, each thing once; all records are of one dataset."""

    def __init__(self, records: Iterable[RunRecord]) -> None:
        distinct = {id(record): record for record in records}
        known = [record for record in distinct.values() if record.items]
        shares = known[0].history_genres if known else {}
        self.history_share: Floats = np.array(list(shares.values()), dtype=float)
        self.masses = _masses(known, tuple(shares))
        self._lists: dict[int, Ids] = {}
        self._targets: dict[str, Ids] = {}
        self._values: dict[int, dict[str, Floats]] = {}

    def target(self, record: RunRecord) -> Ids:
        """Return the target of each scored row, no row where the record has none."""
        if record.targets not in self._targets:
            self._targets[record.targets] = decode_ids(record.targets, 1)[:, 0]
        return self._targets[record.targets]

    def lists(self, evaluation: Evaluation) -> Ids:
        """Return the recommended ids `[n, k]`; `ValueError` where they are not those of n rows."""
        if id(evaluation) not in self._lists:
            ids = decode_ids(evaluation.lists, 1)
            if not evaluation.n or len(ids) % evaluation.n:
                raise ValueError(
                    f"{evaluation.label}: {len(ids)} recommended ids are no lists of N = {evaluation.n}"
                )
            self._lists[id(evaluation)] = ids.reshape(evaluation.n, -1)
        return self._lists[id(evaluation)]

    def values(self, record: RunRecord, evaluation: Evaluation) -> dict[str, Floats]:
        """Return each metric's values per user, whose mean the metric is (see `evaluation.jackknife`)."""
        if id(evaluation) not in self._values:
            lists = self.lists(evaluation)
            cutoffs = sorted({int(key.partition("@")[2]) for key in evaluation.scores if "@" in key})
            kept = [k for k in cutoffs if k <= lists.shape[1]]
            target, share = self.target(record), self.history_share
            self._values[id(evaluation)] = pseudo_values(lists, target, self.masses, share, kept)
        return self._values[id(evaluation)]

    def whole(self, record: RunRecord, evaluation: Evaluation) -> bool:
        """Say whether the record holds the lists and targets of this evaluation."""
        return bool(evaluation.lists and record.targets and len(self.history_share))


def _masses(records: Iterable[RunRecord], selected: tuple[str, ...]) -> Floats:
    """Return each item's mass per selected genre; an id without an item has none."""
    genres: dict[int, tuple[str, ...]] = {}
    for record in records:
        new = (name for name in record.items if int(name) not in genres)
        genres |= {int(name): record.items[name].genres for name in new}
    labels = [genres.get(item, ()) for item in range(max(genres, default=0) + 1)]
    return genre_masses(labels, selected)
