"""Rows of a table against a baseline: intervals over users and seeds, and corrected paired tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from sprec.evaluation.jackknife import SET_METRICS
from sprec.evaluation.paired_tests import bootstrap_intervals, swap_tests
from sprec.evaluation.significance import holm, sign_flip_test
from sprec.report.tables.arms import INITIAL_LABEL, scored_evaluations
from sprec.report.tables.per_user_values import Floats, PerUserValues
from sprec.report.tables.table import Difference
from sprec.report.tables.table_rows import ScoredRun, ScoreRow

# A row's and its baseline's evaluations, seed by seed.
Pairs = Sequence[tuple[ScoredRun, ScoredRun]]

# Draws of a test per comparison of the table: twice as many as Holm's correction needs to reach 5 %.
DRAWS = 40

# A row's number, and a score.
RowScore = tuple[int, str]


def compare_rows(
    rows: Sequence[ScoreRow], baselines: Sequence[ScoreRow], keys: Sequence[str]
) -> dict[RowScore, Difference]:
    """Return the difference of each row to its baseline for each score, where records hold the lists.

    That is the one of `baselines` with lists of its kind, else the first of those that treat histories alike;
    without any, each run's own initial SFT.
    Seeds are those that both have. p-values are Holm's over all that is returned. The same rows get the same
    random draws. The off-catalogue share is left out, since records do not hold it per user.
    """
    users = PerUserValues(run.record for row in rows for run in row.by_seed.values())
    all_pairs = {place: _pair_up(row, baselines, rows, users) for place, row in enumerate(rows)}
    pairs = {place: own for place, own in all_pairs.items() if own}
    scored = {place: _common_scores(own, keys, users) for place, own in pairs.items()}
    bounds = _intervals(pairs, scored, users)
    # Holm multiplies the smallest p-value by the number of tests; with too few draws none could reach 5 %.
    rng, draws = np.random.default_rng(0), max(2000, DRAWS * sum(map(len, scored.values())))
    p_values = {
        (place, key): p
        for place, own in pairs.items()
        for key, p in _p_values(own, scored[place], users, rng, draws).items()
    }
    corrected = holm(np.array(list(p_values.values()))).tolist()
    seeds = {place: tuple(sorted(run.record.seed for run, _ in own)) for place, own in pairs.items()}
    return {
        cell: Difference(*bounds[cell], p, seeds[cell[0]])
        for cell, p in zip(p_values, corrected, strict=True)
    }


def can_compare(rows: Sequence[ScoreRow], baselines: Sequence[ScoreRow]) -> bool:
    """Return whether any row has lists of the same users and seeds as its baseline."""
    users = PerUserValues(run.record for row in rows for run in row.by_seed.values())
    return any(_pair_up(row, baselines, rows, users) for row in rows)


def _pair_up(
    row: ScoreRow, baselines: Sequence[ScoreRow], rows: Sequence[ScoreRow], users: PerUserValues
) -> Pairs:
    """Return the row's evaluations beside the baseline's, where both are of the same users."""
    if any(row is one for one in baselines) or (not baselines and row.is_initial):
        return []
    pairs = [(run, _baseline_run(run, seed, baselines, rows)) for seed, run in row.by_seed.items()]
    return [
        (run, other)
        for run, other in pairs
        if other is not None and run.evaluation is not other.evaluation and _same_users(run, other, users)
    ]


def _baseline_run(
    run: ScoredRun, seed: int, baselines: Sequence[ScoreRow], rows: Sequence[ScoreRow]
) -> ScoredRun | None:
    """Return what a run is compared with: the baseline at its seed, or its own initial SFT model.

    A run without an LLM, or of a method that ends with SFT, takes that of the other runs at its seed.
    """
    if baselines:
        return _most_alike(run, [row.by_seed[seed] for row in baselines if seed in row.by_seed])
    # Its own initial SFT, not the first run's: two runs of one seed may have started from different models.
    others = (one for one in scored_evaluations(run.record) if one is not run.evaluation)
    own = [ScoredRun(run.record, one) for one in others if one.label == INITIAL_LABEL]
    # Of several base LLMs each has a start of its own.
    starts = [
        start
        for row in rows
        if row.is_initial and (start := row.by_seed.get(seed))
        if start.record.weights == run.record.weights
    ]
    return _most_alike(run, own or starts)


def _most_alike(run: ScoredRun, candidates: Sequence[ScoredRun]) -> ScoredRun | None:
    """Return the first with lists of the run's kind, else the first that treats histories alike, or None."""
    alike = [one for one in candidates if one.list_kind[1] == run.list_kind[1]]
    return next((one for one in alike if one.list_kind == run.list_kind), alike[0] if alike else None)


def _same_users(one: ScoredRun, two: ScoredRun, users: PerUserValues) -> bool:
    """Return whether both records hold their lists, and of the same rows."""
    both = all(users.complete(run.record, run.evaluation) for run in (one, two))
    # Equal ids may be packed into unequal texts, by other versions of zlib.
    return both and np.array_equal(users.target(one.record), users.target(two.record))


def _common_scores(pairs: Pairs, keys: Sequence[str], users: PerUserValues) -> list[str]:
    """Return the scores that every evaluation of the pairs has values per user of."""
    runs = [run for pair in pairs for run in pair]
    # A score that is undefined has none in the record, whatever its values per user would be.
    known = [users.values(one.record, one.evaluation).keys() & one.evaluation.scores for one in runs]
    return [key for key in keys if all(key in own for own in known)]


def _differences(pairs: Pairs, key: str, users: PerUserValues) -> Floats:
    """Return row − baseline `[seeds, users]` of one score."""
    values = [[users.values(run.record, run.evaluation)[key] for run in pair] for pair in pairs]
    return np.stack([one - two for one, two in values])


def _intervals(
    pairs: Mapping[int, Pairs], keys: Mapping[int, Sequence[str]], users: PerUserValues
) -> dict[RowScore, tuple[float, float, float]]:
    """Return mean and bounds of every comparison; those over equally many seeds share their draws."""
    bounds: dict[RowScore, tuple[float, float, float]] = {}
    for seeds in sorted({len(own) for own in pairs.values()}):
        cells = [(place, key) for place, own in pairs.items() if len(own) == seeds for key in keys[place]]
        if not cells:
            continue
        values = np.stack([_differences(pairs[place], key, users) for place, key in cells])
        # Seeded by the number of seeds, so that a row's interval does not depend on the rows around it.
        limits = bootstrap_intervals(values, rng=np.random.default_rng(seeds)).tolist()
        means = values.mean(axis=(1, 2)).tolist()
        bounds |= {
            cell: (mean, low, high) for cell, mean, (low, high) in zip(cells, means, limits, strict=True)
        }
    return bounds


def _p_values(
    pairs: Pairs, keys: Sequence[str], users: PerUserValues, rng: np.random.Generator, draws: int
) -> dict[str, float]:
    """Return the p-value of each score: sign flips for means over users, swapped lists for the rest.

    Args:
        pairs: the row's and its baseline's evaluations, seed by seed.
        keys: the scores that all of them have.
        users: decodes the lists of the records.
        rng: gives the random flips and swaps.
        draws: how many of them a test makes.

    """
    p_values: dict[str, float] = {}
    for k in sorted({int(key.partition("@")[2]) for key in keys}):
        one, two = (
            np.stack([users.lists(pair[side].evaluation)[:, :k] for pair in pairs]) for side in (0, 1)
        )
        swapped = swap_tests(
            one, two, masses=users.masses, history_share=users.history_share, rng=rng, draws=draws
        )
        p_values |= {f"{name}@{k}": p for name, p in swapped.items()}
    for key in keys:
        if key.partition("@")[0] not in SET_METRICS:
            # Equal differences that floating point left unequal would cost the exact test.
            means = _differences(pairs, key, users).mean(axis=0).round(12)
            p_values[key] = sign_flip_test(means, rng=rng, draws=draws)
    return {key: p_values[key] for key in keys}
