"""Limits on figures that several rows share, and on cost estimates."""

from collections.abc import Sequence

from benchmarks.measure import Check, Growth, Outcome

MIN_PEAK_SHARE, MIN_R2 = 0.5, 0.99
"""Share of the bf16 peak that a step reaches; R² of a line through time over size."""
MAX_MEMORY_RATIO, MAX_GROUNDING_GB, MAX_ESTIMATE_FACTOR = 1.1, 2.0, 1.5
"""Largest over smallest peak memory; peak of grounding; how far an estimate may be off."""


def check_estimate(name: str, estimate: float, seconds: float) -> Check:
    """Return the factor by which an estimate is too long or too short, beside its limit.

    >>> check_estimate("SFT step", 2.0, 4.0).value, check_estimate("SFT step", 4.0, 2.0).value
    (2.0, 2.0)
    """
    return Check(
        f"{name}: +plan says {estimate:.2f} s, measured {seconds:.2f} s; factor",
        max(estimate / seconds, seconds / estimate),
        MAX_ESTIMATE_FACTOR,
    )


def checks_across_rows(contests: Sequence[Outcome], growths: Sequence[Growth]) -> list[Check]:
    """Return the checks of peak share, linear time and bounded memory."""
    shares = [
        Check(f"{contest.name}: share of the bf16 peak", contest.peak_share, MIN_PEAK_SHARE, at_least=True)
        for contest in contests
        if contest.peak_share is not None and contest.name in ("SFT step, bf16", "DPO step, bf16")
    ]
    lines = [Check(f"{growth.name}: R² of the line", growth.r2, MIN_R2, at_least=True) for growth in growths]
    return [*shares, *lines, *(check for growth in growths for check in _memory_checks(growth))]


def _memory_checks(growth: Growth) -> list[Check]:
    """Return the memory check of a growth: flat over rows, bounded over items, none over negatives."""
    if growth.unit == "row":
        ratio = max(growth.peak_bytes) / min(growth.peak_bytes)
        return [Check(f"{growth.name}: memory of the largest over the smallest", ratio, MAX_MEMORY_RATIO)]
    if growth.unit == "item":
        return [Check(f"{growth.name}: peak GB", max(growth.peak_bytes) / 1e9, MAX_GROUNDING_GB)]
    return []
