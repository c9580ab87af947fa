"""Intervals and tests of many metrics: against scipy, against the single ones, on models that are alike."""

import numpy as np
import pytest
from scipy import stats

from sprec.evaluation.jackknife import pseudo_values
from sprec.evaluation.metrics import genre_masses
from sprec.evaluation.paired_tests import bootstrap_intervals, swap_tests
from sprec.evaluation.significance import holm, sign_flip_test

ITEMS, USERS = 120, 150
GENRES = ("Crime", "Drama", "War")
HISTORY = np.array([0.5, 0.3, 0.2])
MASSES = genre_masses([(GENRES[i % 3], GENRES[i % 2]) for i in range(ITEMS)], GENRES)


def ranked(rng, skew, k=5):
    """Return lists of k distinct items, item i in proportion to (i + 1)^−skew."""
    weight = -skew * np.log(np.arange(1, ITEMS + 1))
    return np.argsort(-(weight + rng.gumbel(size=(USERS, ITEMS))), axis=1)[:, :k]


def swapped(first, second, seed=0, draws=2000):
    return swap_tests(
        first, second, masses=MASSES, history_share=HISTORY, rng=np.random.default_rng(seed), draws=draws
    )


def test_interval_is_scipys_paired_bootstrap():
    rng = np.random.default_rng(1)
    one, two = rng.random(USERS), rng.random(USERS) ** 2
    expected = stats.bootstrap(
        (one, two),
        lambda x, y, axis: (x - y).mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=9999,
        rng=np.random.default_rng(2),
    ).confidence_interval
    found = bootstrap_intervals((one - two)[None, None], rng=np.random.default_rng(3), draws=10_000)[0]
    assert found == pytest.approx([expected.low, expected.high], abs=0.003)


def interval(difference, seed=0, **options):
    """Return the bounds of one comparison, seeds by users."""
    return bootstrap_intervals(difference[None], rng=np.random.default_rng(seed), **options)[0]


def test_shared_draws_give_what_single_ones_do():
    values = np.random.default_rng(1).normal(0.1, 1, (3, 4, USERS))
    shared = bootstrap_intervals(values, rng=np.random.default_rng(0), draws=5000)
    for difference, bounds in zip(values, shared, strict=True):
        assert bounds == pytest.approx(interval(difference, seed=5, draws=5000), abs=0.02)


def test_interval_takes_seeds_into_account():
    difference = np.repeat([[0.0], [0.1], [0.2]], 50, axis=1)  # users agree, seeds do not
    assert interval(difference, level=0.999) == pytest.approx([0.0, 0.2])
    assert interval(difference[1:2]) == pytest.approx([0.1, 0.1])


def test_pairing_makes_what_both_models_share_cancel():
    ease = np.random.default_rng(15).random((1, 400))
    assert interval((ease + 0.01) - ease, seed=16) == pytest.approx([0.01, 0.01])


def test_interval_holds_the_true_difference_in_nineteen_of_twenty_tables():
    generator, holds = np.random.default_rng(17), []
    for _ in range(400):
        seeds, users = generator.normal(0, 0.05, (8, 1)), generator.normal(0, 1, (1, 200))
        difference = 0.3 + seeds + users + generator.normal(0, 0.5, (8, 200))
        low, high = bootstrap_intervals(difference[None], rng=generator, draws=400)[0]
        holds.append(low <= 0.3 <= high)
    assert 0.92 <= np.mean(holds) <= 0.98


def test_same_stream_gives_the_same_interval_however_the_draws_are_batched(monkeypatch):
    difference = np.random.default_rng(18).normal(size=(3, 40))
    in_one_batch = interval(difference, seed=19, draws=500)
    assert (interval(difference, seed=19, draws=500) == in_one_batch).all()
    monkeypatch.setattr("sprec.evaluation.paired_tests.CELLS_AT_ONCE", 400)
    assert interval(difference, seed=19, draws=500) == pytest.approx(in_one_batch, abs=0.1)


def distinct(lists):
    return len(np.unique(lists))


def top_three(lists):
    return np.sort(np.unique(lists, return_counts=True)[1])[-3:].sum()


@pytest.mark.parametrize(("name", "measured"), [("div_ratio", distinct), ("or_ratio", top_three)])
def test_swapped_lists_are_scipys_permutation_test(name, measured):
    rng = np.random.default_rng(4)
    both = np.concatenate([ranked(rng, 1.0), ranked(rng, 1.04)])
    expected = stats.permutation_test(
        (np.arange(USERS), USERS + np.arange(USERS)),
        lambda x, y: measured(both[x]) - measured(both[y]),
        permutation_type="samples",
        vectorized=False,
        n_resamples=3000,
        rng=np.random.default_rng(5),
    ).pvalue
    found = swapped(both[None, :USERS], both[None, USERS:], draws=30_000)[name]
    assert 0.02 < expected < 0.9
    assert found == pytest.approx(expected, abs=0.03)


def test_equal_lists_never_differ():
    lists = ranked(np.random.default_rng(0), 1.0)[None]
    assert set(swapped(lists, lists).values()) == {1.0}


def test_who_is_first_does_not_matter():
    rng = np.random.default_rng(0)
    one, two = ranked(rng, 1.0)[None], ranked(rng, 1.2)[None]
    assert swapped(one, two) == swapped(two, one)


def null_table(seed, arms=2):
    """Return the p-values of a table whose arms are all alike: of sets of lists, and of means over users."""
    rng = np.random.default_rng(seed)
    target, base = rng.integers(0, ITEMS, USERS), ranked(rng, 1.0)
    reference = pseudo_values(base, target, MASSES, HISTORY, [5])
    sets, means = [], []
    for _ in range(arms):
        lists = ranked(rng, 1.0)
        own = pseudo_values(lists, target, MASSES, HISTORY, [5])
        sets += list(swapped(lists[None], base[None], seed, draws=500).values())
        means += [sign_flip_test(own[key] - reference[key], rng=rng, draws=500) for key in ("hr@5", "ndcg@5")]
    return sets, means


def test_models_that_are_alike_are_marked_in_about_one_table_of_twenty():
    found = [null_table(seed) for seed in range(80)]
    corrected = [holm(np.array([*sets, *means])).min() for sets, means in found]
    plain = np.array([sets for sets, _ in found])
    assert np.mean(np.array(corrected) <= 0.05) <= 0.1  # 5 % ± 2.4 %
    assert 0.03 <= (plain <= 0.05).mean() <= 0.07  # of 640


def test_models_that_differ_are_found():
    rng = np.random.default_rng(0)
    found = swapped(ranked(rng, 1.2)[None], ranked(rng, 0.7)[None])
    assert found["div_ratio"] < 0.001
    assert found["or_ratio"] < 0.001


def test_interval_of_distinct_items_holds_the_true_difference_where_a_plain_bootstrap_does_not():
    differences, bounds, naive = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        target, lists = rng.integers(0, ITEMS, USERS), [ranked(rng, skew, k=1) for skew in (1.4, 0.6)]
        one, two = (pseudo_values(each, target, MASSES, HISTORY, [1])["div_ratio@1"] for each in lists)
        differences.append((one - two).mean())
        bounds.append(bootstrap_intervals((one - two)[None, None], rng=rng, draws=500)[0])
        users = rng.integers(0, USERS, (200, USERS))
        again = [(distinct(lists[0][drawn]) - distinct(lists[1][drawn])) / USERS for drawn in users]
        naive.append(np.quantile(again, [0.025, 0.975]))
    true = np.mean(differences)
    covered = [np.mean([low <= true <= high for low, high in each]) for each in (bounds, naive)]
    assert covered[0] >= 0.9
    assert covered[1] < 0.5


def test_without_genres_lists_are_tested_as_with_them():
    rng = np.random.default_rng(0)
    first, second = ranked(rng, 1.5)[None], ranked(rng, 0.5)[None]
    bare = {"masses": np.zeros((ITEMS, 0)), "history_share": np.zeros(0)}
    found = swap_tests(first, second, **bare, rng=np.random.default_rng(0), draws=2000)
    expected = swapped(first, second)
    assert [found[name] for name in ("div_ratio", "or_ratio")] == [
        expected[name] for name in ("div_ratio", "or_ratio")
    ]
    assert (found["mgu"], found["dgu"]) == (1.0, 1.0)


def test_genre_shares_are_tested_against_the_histories_and_seeds_swap_together():
    """Three users get item 0 from one model and item 1 from the other: 2 of 8 ways to swap are as extreme.

    At two seeds with one pair of models they are 2 of 8 again, since a user's lists change sides at all
    seeds at once; where a second seed has the sides reversed, the observed difference is 0.
    """
    one, two = np.zeros((1, 3, 1), dtype=int), np.ones((1, 3, 1), dtype=int)

    def p_values(first, second, share=(0.75, 0.25)):
        options = {"masses": np.eye(2), "history_share": np.array(share), "draws": 20_000}
        return swap_tests(first, second, rng=np.random.default_rng(0), **options)

    again = p_values(np.concatenate([one, one]), np.concatenate([two, two]))
    reversed_sides = p_values(np.concatenate([one, two]), np.concatenate([two, one]))
    for name in ("mgu", "dgu"):
        assert p_values(one, two)[name] == pytest.approx(0.25, abs=0.015)
        assert again[name] == pytest.approx(0.25, abs=0.015)
        assert reversed_sides[name] == 1.0
        assert p_values(one, two, (0.5, 0.5))[name] == 1.0  # both are as far from the histories
