"""The lists, targets and genres behind the scores of runs on one dataset."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sprec.evaluation.jackknife import pseudo_values
from sprec.evaluation.metrics import genre_masses
from sprec.evaluation.registry import split_key
from sprec.records.encoded_ids import decode_ids
from sprec.records.run_record import Evaluation, RunRecord

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]


class PerUserValues:
    """Decodes what records hold, each thing once; all records are of one dataset."""

    def __init__(self, records: Iterable[RunRecord]) -> None:
        distinct = {id(record): record for record in records}
        with_items = [record for record in distinct.values() if record.items]
        shares = with_items[0].history_genres if with_items else {}
        self.history_share: Floats = np.array(list(shares.values()), dtype=float)
        self.masses = item_masses(with_items, list(shares))
        # Decoding takes most of a test's time, and a baseline's lists are needed for each row.
        self._lists: dict[int, Ids] = {}
        self._targets: dict[str, Ids] = {}
        self._values: dict[int, dict[str, Floats]] = {}

    def target(self, record: RunRecord) -> Ids:
        """Return the target of each scored row, no row where the record has none."""
        if record.targets not in self._targets:
            self._targets[record.targets] = decode_ids(record.targets, 1)[:, 0]
        return self._targets[record.targets]

    def lists(self, evaluation: Evaluation) -> Ids:
        """Return the recommended ids `[n, k]`; `ValueError` if not of n rows, or of unknown items."""
        if id(evaluation) not in self._lists:
            lists = self._lists[id(evaluation)] = decode_lists(evaluation)
            if lists.max(initial=-1) >= len(self.masses):
                raise ValueError(
                    f"{evaluation.label}: no record has the item {lists.max()} of its lists; run again"
                )
        return self._lists[id(evaluation)]

    def values(self, record: RunRecord, evaluation: Evaluation) -> dict[str, Floats]:
        """Return each metric's values per user, whose mean the metric is (see `evaluation.jackknife`)."""
        if id(evaluation) not in self._values:
            lists = self.lists(evaluation)
            lengths = [k for k in cutoffs_of([evaluation]) if k <= lists.shape[1]]
            target, share = self.target(record), self.history_share
            self._values[id(evaluation)] = pseudo_values(lists, target, self.masses, share, lengths)
        return self._values[id(evaluation)]

    def complete(self, record: RunRecord, evaluation: Evaluation) -> bool:
        """Return whether the record holds the lists, their items and the targets of this evaluation."""
        return bool(evaluation.lists and record.targets and record.items)


def cutoffs_of(evaluations: Iterable[Evaluation]) -> list[int]:
    """Return the list lengths at which these were scored, ascending."""
    cutoffs = {split_key(key)[1] for evaluation in evaluations for key in evaluation.scores}
    return sorted(cutoff for cutoff in cutoffs if cutoff is not None)


def decode_lists(evaluation: Evaluation) -> Ids:
    """Return the recommended ids `[n, k]`, best first; `ValueError` where they are not those of n rows."""
    lists = decode_ids(evaluation.lists, max(cutoffs_of([evaluation]), default=1))
    if len(lists) != evaluation.n:
        raise ValueError(f"{evaluation.label}: {len(lists)} lists for {evaluation.n} users; run again")
    return lists


def item_masses(records: Iterable[RunRecord], selected: Sequence[str]) -> Floats:
    """Return each item's mass per selected genre, by id; items that no record holds have none."""
    genres: dict[int, tuple[str, ...]] = {}
    for record in records:
        new = (name for name in record.items if int(name) not in genres)
        genres |= {int(name): record.items[name].genres for name in new}
    genres = genres or {0: ()}
    # Zeros that nobody writes take no memory: ids may reach far beyond the number of items.
    masses = np.zeros((max(genres) + 1, len(selected)))
    masses[list(genres)] = genre_masses(list(genres.values()), selected)
    return masses
