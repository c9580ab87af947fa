"""What is asked of figures that other rows have measured already."""

from collections.abc import Sequence

from benchmarks.measure import Check, Growth, Outcome

SHARE, STRAIGHT, FLAT, GROUNDING_GB, PRICED = 0.5, 0.99, 1.1, 2.0, 1.5
"""Share of the bf16 peak, R² of a line, largest over smallest memory, GB of grounding, off the estimate."""


def priced(name: str, estimate: float, seconds: float) -> Check:
    """Return the check of an estimate: by which factor it is too long or too short.

    >>> priced("SFT step", 2.0, 4.0).value, priced("SFT step", 4.0, 2.0).value
    (2.0, 2.0)
    """
    return Check(
        f"{name}: +plan says {estimate:.2f} s, measured {seconds:.2f} s; factor",
        max(estimate / seconds, seconds / estimate),
        PRICED,
    )


def derived(contests: Sequence[Outcome], growths: Sequence[Growth]) -> list[Check]:
    """Return the checks of the share of the peak, of linear time and of bounded memory."""
    shares = [
        Check(f"{each.name}: share of the bf16 peak", each.peak_share, SHARE, at_least=True)
        for each in contests
        if each.peak_share is not None and each.name in ("SFT step, bf16", "DPO step, bf16")
    ]
    lines = [Check(f"{each.name}: R² of the line", each.r2, STRAIGHT, at_least=True) for each in growths]
    return [*shares, *lines, *(check for each in growths for check in _memory(each))]


def _memory(each: Growth) -> list[Check]:
    """Return the check of a growth's memory: flat in rows, bounded for items."""
    if each.unit == "row":
        ratio = max(each.peak_bytes) / min(each.peak_bytes)
        return [Check(f"{each.name}: memory of the largest over the smallest", ratio, FLAT)]
    if each.unit == "item":
        return [Check(f"{each.name}: peak GB", max(each.peak_bytes) / 1e9, GROUNDING_GB)]
    return []
