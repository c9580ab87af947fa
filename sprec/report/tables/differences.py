"""Rows of a table against a baseline: intervals over users and seeds, and corrected paired tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from sprec.evaluation.paired_tests import SET_METRICS, bootstrap_intervals, swap_tests
from sprec.evaluation.significance import holm, sign_flip_test
from sprec.report.tables.arms import tested
from sprec.report.tables.per_user_values import Evidence, Floats
from sprec.report.tables.table import Difference
from sprec.report.tables.table_rows import INITIAL_LABEL, Row, Source

Pairs = Sequence[tuple[Source, Source]]
"""A row's and its baseline's evaluations, seed by seed."""

DRAWS = 40
"""Draws of a test per comparison of the table: twice as many as Holm's correction needs to reach 5 %."""

Cell = tuple[int, str]
"""A row's number, and a score."""


def compare(rows: Sequence[Row], baseline: Row | None, keys: Sequence[str]) -> dict[Cell, Difference]:
    """Return the difference of each row to the baseline for each score, where records hold the lists.

    Without a baseline each run is compared with its own initial SFT model. Seeds are those that both
    have. p-values are Holm's over all that is returned. The same rows get the same random draws. The
    off-catalogue share is no part: records do not hold it per user.
    """
    evidence = Evidence(source.record for row in rows for source in row.found.values())
    pairs = {place: _pairs(row, baseline, rows, evidence) for place, row in enumerate(rows)}
    pairs = {place: found for place, found in pairs.items() if found}
    scored = {place: _scored(found, keys, evidence) for place, found in pairs.items()}
    bounds = _intervals(pairs, scored, evidence)
    rng, draws = np.random.default_rng(0), max(2000, DRAWS * sum(map(len, scored.values())))
    p_values = {
        (place, key): p
        for place, found in pairs.items()
        for key, p in _p_values(found, scored[place], evidence, rng, draws).items()
    }
    corrected = holm(np.array(list(p_values.values()))).tolist()
    return {cell: Difference(*bounds[cell], p) for cell, p in zip(p_values, corrected, strict=True)}


def _pairs(row: Row, baseline: Row | None, rows: Sequence[Row], evidence: Evidence) -> Pairs:
    """Return the row's evaluations beside the baseline's, where both are of the same users."""
    if row is baseline:
        return []
    pairs = [(each, _other(each, seed, baseline, rows)) for seed, each in row.found.items()]
    return [
        (each, other)
        for each, other in pairs
        if other is not None and each.evaluation is not other.evaluation and _alike(each, other, evidence)
    ]


def _other(source: Source, seed: int, baseline: Row | None, rows: Sequence[Row]) -> Source | None:
    """Return what a run is compared with: the baseline at its seed, or its own initial SFT model.

    A run without an LLM has none of its own and takes that of the other runs at its seed.
    """
    if baseline is not None:
        return baseline.found.get(seed)
    if source.evaluation.label == INITIAL_LABEL:
        return None
    own = [each for each in tested(source.record) if each.label == INITIAL_LABEL]
    same = [each for each in own if each.ranking == source.evaluation.ranking] or own
    if same:
        return Source(source.record, same[0])
    shared = (row.found.get(seed) for row in rows)
    return next((each for each in shared if each and each.evaluation.label == INITIAL_LABEL), None)


def _alike(one: Source, two: Source, evidence: Evidence) -> bool:
    """Say whether lists of both are known, and of the same rows."""
    both = all(evidence.whole(each.record, each.evaluation) for each in (one, two))
    return both and one.record.targets == two.record.targets


def _scored(pairs: Pairs, keys: Sequence[str], evidence: Evidence) -> list[str]:
    """Return the scores that every evaluation of the pairs has values per user of."""
    known = [evidence.values(each.record, each.evaluation) for pair in pairs for each in pair]
    return [key for key in keys if all(key in each for each in known)]


def _differences(pairs: Pairs, key: str, evidence: Evidence) -> Floats:
    """Return row − baseline `[seeds, users]` of one score."""
    return np.stack(
        [
            evidence.values(one.record, one.evaluation)[key]
            - evidence.values(two.record, two.evaluation)[key]
            for one, two in pairs
        ]
    )


def _intervals(
    pairs: Mapping[int, Pairs], keys: Mapping[int, Sequence[str]], evidence: Evidence
) -> dict[Cell, tuple[float, float, float]]:
    """Return mean and bounds of every comparison; those over equally many seeds share their draws."""
    found: dict[Cell, tuple[float, float, float]] = {}
    for seeds in sorted({len(each) for each in pairs.values()}):
        cells = [(place, key) for place, each in pairs.items() if len(each) == seeds for key in keys[place]]
        if not cells:
            continue
        values = np.stack([_differences(pairs[place], key, evidence) for place, key in cells])
        bounds = bootstrap_intervals(values, rng=np.random.default_rng(seeds))
        means = values.mean(axis=(1, 2)).tolist()
        found |= {
            cell: (mean, low, high)
            for cell, mean, (low, high) in zip(cells, means, bounds.tolist(), strict=True)
        }
    return found


def _p_values(
    pairs: Pairs, keys: Sequence[str], evidence: Evidence, rng: np.random.Generator, draws: int
) -> dict[str, float]:
    """Return the p-value of each score: sign flips for means over users, swapped lists for the rest."""
    found: dict[str, float] = {}
    for k in sorted({int(key.partition("@")[2]) for key in keys}):
        one, two = (
            np.stack([evidence.lists(pair[side].evaluation)[:, :k] for pair in pairs]) for side in (0, 1)
        )
        swapped = swap_tests(
            *(one, two), masses=evidence.masses, history_share=evidence.history_share, rng=rng, draws=draws
        )
        found |= {f"{name}@{k}": p for name, p in swapped.items()}
    means = [key for key in keys if key.partition("@")[0] not in SET_METRICS]
    found |= {
        key: sign_flip_test(_differences(pairs, key, evidence).mean(axis=0).round(12), rng=rng, draws=draws)
        for key in means
    }
    return {key: found[key] for key in keys}
