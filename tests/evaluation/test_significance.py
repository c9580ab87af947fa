import numpy as np
import pytest
from scipy import stats

from sprec.evaluation.significance import holm, sign_flip_test, sign_test

TABLES = 1000


def rng(seed=0):
    return np.random.default_rng(seed)


def correlated_hits(generator, rate, other, users=1000):
    """Hits of two models that share half of what decides them."""
    shared, own = generator.random(users), generator.random((2, users))
    easy = generator.random(users) < 0.5
    first, second = (np.where(easy, shared, each) for each in own)
    return (first < rate).astype(float), (second < other).astype(float)


@pytest.mark.parametrize(("wins", "trials"), [(0, 1), (3, 3), (2, 9), (5, 10), (0, 40), (520, 1000)])
def test_sign_test_is_the_binomial_test_of_scipy(wins, trials):
    assert sign_test(wins, trials) == pytest.approx(stats.binomtest(wins, trials).pvalue)


def test_hits_are_tested_exactly_whatever_the_stream():
    difference = np.array([1.0] * 9 + [-1.0] * 2 + [0.0] * 989)
    assert sign_flip_test(difference, rng=rng(1)) == sign_flip_test(-difference, rng=rng(2))
    assert sign_flip_test(difference, rng=rng()) == pytest.approx(stats.binomtest(2, 11).pvalue)


def test_three_seeds_cannot_fall_below_a_quarter():
    assert sign_flip_test(np.array([0.3, 0.1, 0.2]), rng=rng()) == 2 / 8
    # 3 sums are at least as far from 0 as .3 - .1 + .2: all signs alike, or the .1 alone turned
    assert sign_flip_test(np.array([0.3, -0.1, 0.2]), rng=rng()) == 4 / 8


def test_models_without_a_difference_are_alike():
    assert sign_flip_test(np.zeros(10), rng=rng()) == 1.0


@pytest.mark.parametrize("units", [8, 60], ids=["all flips", "drawn flips"])
def test_random_differences_get_the_p_value_of_scipys_permutation_test(units):
    difference = rng(4).normal(0.25, 1, units)
    expected = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng(5)
    ).pvalue
    assert sign_flip_test(difference, rng=rng(6), draws=20_000) == pytest.approx(expected, abs=0.02)
    assert sign_flip_test(difference, rng=rng(6)) == sign_flip_test(difference, rng=rng(6))


def test_about_five_of_a_hundred_tables_of_hits_without_an_effect_are_marked():
    generator = rng(7)
    pairs = [correlated_hits(generator, 0.05, 0.05) for _ in range(TABLES)]
    marks = sum(sign_flip_test(first - second, rng=generator) <= 0.05 for first, second in pairs)
    assert 0.02 <= marks / TABLES <= 0.06  # the exact test of few hits stays a little below its level


def test_about_five_of_a_hundred_tables_of_gains_without_an_effect_are_marked():
    generator = rng(8)
    gains = np.where(generator.random((2, TABLES, 100)) < 0.3, generator.random((2, TABLES, 100)), 0)
    marks = sum(sign_flip_test(each, rng=generator, draws=400) <= 0.05 for each in gains[0] - gains[1])
    assert 0.03 <= marks / TABLES <= 0.07


def test_holm_keeps_tables_of_five_arms_at_five_false_marks_in_a_hundred():
    p_values = rng(9).random((10 * TABLES, 5))  # uniform: what five independent nulls give
    assert (p_values <= 0.05).any(axis=1).mean() > 0.2  # each arm at its own 5 %
    assert 0.04 <= np.mean([(holm(row) <= 0.05).any() for row in p_values]) <= 0.06


def test_a_doubled_hit_rate_is_found_in_nearly_every_table():
    generator = rng(10)
    pairs = [correlated_hits(generator, 0.10, 0.05) for _ in range(200)]
    assert np.mean([sign_flip_test(a - b, rng=generator) <= 0.05 for a, b in pairs]) > 0.95


def test_holm_steps_down_until_a_null_stands():
    for row in rng(11).random((50, 6)) ** 3:
        rejected, left = set(), len(row)
        for test in np.argsort(row):
            if row[test] > 0.05 / left:
                break
            rejected.add(int(test))
            left -= 1
        assert set(np.flatnonzero(holm(row) <= 0.05).tolist()) == rejected
    assert holm(np.array([0.9, 0.5, 0.5])).tolist() == [1.0, 1.0, 1.0]
    assert holm(np.array([])).tolist() == []
