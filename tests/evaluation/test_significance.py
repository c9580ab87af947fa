import numpy as np
import pytest
from scipy import stats

from sprec.evaluation.significance import holm, paired_bootstrap, sign_flip, sign_test

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
    assert sign_flip(difference, rng=rng(1)) == sign_flip(-difference, rng=rng(2))
    assert sign_flip(difference, rng=rng()) == pytest.approx(stats.binomtest(2, 11).pvalue)


def test_three_seeds_cannot_fall_below_a_quarter():
    assert sign_flip(np.array([0.3, 0.1, 0.2]), rng=rng()) == 2 / 8
    # 3 sums are at least as far from 0 as .3 - .1 + .2: all signs alike, or the .1 alone turned
    assert sign_flip(np.array([0.3, -0.1, 0.2]), rng=rng()) == 4 / 8


def test_models_without_a_difference_are_alike():
    assert sign_flip(np.zeros(10), rng=rng()) == 1.0


@pytest.mark.parametrize("units", [8, 60], ids=["all flips", "drawn flips"])
def test_random_differences_get_the_p_value_of_scipys_permutation_test(units):
    difference = rng(4).normal(0.25, 1, units)
    expected = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng(5)
    ).pvalue
    assert sign_flip(difference, rng=rng(6), draws=20_000) == pytest.approx(expected, abs=0.02)
    assert sign_flip(difference, rng=rng(6)) == sign_flip(difference, rng=rng(6))


def test_about_five_of_a_hundred_tables_of_hits_without_an_effect_are_marked():
    generator = rng(7)
    pairs = [correlated_hits(generator, 0.05, 0.05) for _ in range(TABLES)]
    marks = sum(sign_flip(first - second, rng=generator) <= 0.05 for first, second in pairs)
    assert 0.02 <= marks / TABLES <= 0.06  # the exact test of few hits stays a little below its level


def test_about_five_of_a_hundred_tables_of_gains_without_an_effect_are_marked():
    generator = rng(8)
    gains = np.where(generator.random((2, TABLES, 100)) < 0.3, generator.random((2, TABLES, 100)), 0)
    marks = sum(sign_flip(each, rng=generator, draws=400) <= 0.05 for each in gains[0] - gains[1])
    assert 0.03 <= marks / TABLES <= 0.07


def test_holm_keeps_tables_of_five_arms_at_five_false_marks_in_a_hundred():
    p_values = rng(9).random((10 * TABLES, 5))  # uniform: what five independent nulls give
    assert (p_values <= 0.05).any(axis=1).mean() > 0.2  # each arm at its own 5 %
    assert 0.04 <= np.mean([(holm(row) <= 0.05).any() for row in p_values]) <= 0.06


def test_a_doubled_hit_rate_is_found_in_nearly_every_table():
    generator = rng(10)
    pairs = [correlated_hits(generator, 0.10, 0.05) for _ in range(200)]
    assert np.mean([sign_flip(a - b, rng=generator) <= 0.05 for a, b in pairs]) > 0.95


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


def test_interval_of_one_seed_is_that_of_scipys_bootstrap_over_users():
    first, second = rng(12).random((2, 1, 300))
    found = paired_bootstrap(first, second, rng=rng(13), draws=6000)
    again = stats.bootstrap(
        (first[0] - second[0],), np.mean, method="percentile", n_resamples=6000, rng=rng(14)
    )
    assert found.mean == pytest.approx((first - second).mean())
    assert (found.low, found.high) == pytest.approx(again.confidence_interval, abs=0.004)


def test_interval_takes_seeds_into_account():
    difference = np.repeat([[0.0], [0.1], [0.2]], 50, axis=1)  # users agree, seeds do not
    found = paired_bootstrap(difference, np.zeros((3, 50)), rng=rng(), level=0.999)
    assert (found.low, found.mean, found.high) == pytest.approx((0.0, 0.1, 0.2))
    one = paired_bootstrap(difference[1:2], np.zeros((1, 50)), rng=rng())
    assert (one.low, one.high) == pytest.approx((0.1, 0.1))


def test_pairing_makes_what_both_models_share_cancel():
    ease = rng(15).random((1, 400))
    found = paired_bootstrap(ease + 0.01, ease, rng=rng(16))
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))


def test_interval_holds_the_true_difference_in_nineteen_of_twenty_tables():
    generator, held = rng(17), []
    for _ in range(400):
        seeds, users = generator.normal(0, 0.05, (8, 1)), generator.normal(0, 1, (1, 200))
        difference = 0.3 + seeds + users + generator.normal(0, 0.5, (8, 200))
        found = paired_bootstrap(difference, np.zeros((8, 200)), rng=generator, draws=400)
        held.append(found.low <= 0.3 <= found.high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_same_stream_gives_the_same_interval_however_the_draws_are_portioned(monkeypatch):
    first, second = rng(18).random((2, 3, 40))
    whole = paired_bootstrap(first, second, rng=rng(19), draws=500)
    assert paired_bootstrap(first, second, rng=rng(19), draws=500) == whole
    monkeypatch.setattr("sprec.evaluation.significance.CELLS_AT_ONCE", 400)
    parts = paired_bootstrap(first, second, rng=rng(19), draws=500)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.03)


@pytest.mark.parametrize(
    ("shapes", "level", "message"),
    [
        (((2, 3), (2, 3)), 95, "level = 95; take a share between 0 and 1"),
        (((0, 3), (0, 3)), 0.9, r"shape \(0, 3\) and \(0, 3\); give equal seeds and users"),
    ],
)
def test_interval_of_nothing_is_refused(shapes, level, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(np.zeros(shapes[0]), np.zeros(shapes[1]), rng=rng(), level=level)
