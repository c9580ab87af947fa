from benchmarks.checks import derived
from benchmarks.measure import Outcome, growth


def outcome(name, share):
    return Outcome(name, "rows", "TRL", 6.0, 1.5, 4.0, 3.9, 4.2, 3, 1.0, 1, 1, 4.0, share, 9.0)


def test_share_of_the_peak_is_asked_of_bf16_steps_only():
    found = derived([outcome("SFT step, bf16", 0.4), outcome("SFT step, float32", 0.9)], [])
    assert [(check.value, check.passed) for check in found] == [(0.4, False)]


def test_time_must_be_linear_and_memory_flat_in_rows():
    straight = growth("steps", "row", [1, 2, 3], [1.0, 2.0, 3.0], [100, 104, 109])
    bent = growth("steps", "row", [1, 2, 3], [1.0, 4.0, 9.0], [100, 104, 120])
    assert [check.passed for check in derived([], [straight])] == [True, True]
    assert [check.passed for check in derived([], [bent])] == [False, False]


def test_memory_of_grounding_is_bounded_and_may_grow():
    found = derived([], [growth("grounding", "item", [1, 2], [1.0, 2.0], [10**8, 2 * 10**9])])
    assert [check.passed for check in found] == [True, True]
