from benchmarks.checks import checks_across_rows
from benchmarks.measure import Outcome, fit_growth


def outcome(name, share):
    return Outcome(name, "rows", "TRL", 6.0, 1.5, 4.0, 3.9, 4.2, 3, 1.0, 1, 1, 4.0, share, 9.0)


def test_share_of_the_peak_is_asked_of_bf16_steps_only():
    checks = checks_across_rows([outcome("SFT step, bf16", 0.4), outcome("SFT step, float32", 0.9)], [])
    assert [(check.value, check.passed) for check in checks] == [(0.4, False)]


def test_time_must_be_linear_and_memory_flat_in_rows():
    straight = fit_growth("steps", "row", [1, 2, 3], [1.0, 2.0, 3.0], [100, 104, 109])
    bent = fit_growth("steps", "row", [1, 2, 3], [1.0, 4.0, 9.0], [100, 104, 120])
    assert [check.passed for check in checks_across_rows([], [straight])] == [True, True]
    assert [check.passed for check in checks_across_rows([], [bent])] == [False, False]


def test_memory_of_grounding_is_bounded_and_may_grow():
    checks = checks_across_rows([], [fit_growth("grounding", "item", [1, 2], [1.0, 2.0], [10**8, 2 * 10**9])])
    assert [check.passed for check in checks] == [True, True]
