"""A measured file as the tables of the README: what stands there is what `benchmarks.json` holds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]


def markdown(report: Report) -> str:
    """Return contests, growths and checks of a report as Markdown."""
    parts = [_machine(report), _contests(report["contests"]), _checks(report), _left_out(report)]
    return "\n\n".join(part for part in parts if part)


def _machine(report: Report) -> str:
    machine = report["machine"]
    commit = machine["provenance"]["commit"][:10]
    peaks = " and ".join(
        f"{machine[f'peak_{name}'] / 1e9:.0f} GFLOP/s in {name}" for name in ("bf16", "float32")
    )
    return f"{machine['processor']}, {machine['threads']} threads, products {peaks}, commit {commit}:"


def _contests(contests: Sequence[Report]) -> str:
    names = ("row", "ours /s", "peer /s", "times as fast (range)", "aim", "of peak", "GB ours, peer", "peer")
    return _table(names, (_contest(each) for each in contests))


def _contest(each: Report) -> tuple[str, ...]:
    share = "" if each["peak_share"] is None else f"{each['peak_share']:.0%}"
    return (
        each["name"],
        f"{each['ours_rate']:.3g} {each['unit']}",
        f"{each['peer_rate']:.3g}",
        f"**{each['ratio']:.3g}** ({each['ratio_low']:.3g}–{each['ratio_high']:.3g})",
        _aim(each["at_least"], each["ratio"]),
        share,
        f"{each['ours_bytes'] / 1e9:.1f}, {each['peer_bytes'] / 1e9:.1f}",
        each["peer"],
    )


def _aim(limit: float | None, value: float, *, at_least: bool = True) -> str:
    """Return a limit and whether the value keeps it.

    >>> _aim(4.0, 4.2), _aim(2.5, 2.6, at_least=False), _aim(None, 1.0)
    ('≥ 4 ✓', '≤ 2.5 ✗', '')
    """
    if limit is None:
        return ""
    kept = value >= limit if at_least else value <= limit
    return f"{'≥' if at_least else '≤'} {limit:g} {'✓' if kept else '✗'}"


def _checks(report: Report) -> str:
    rows = (
        (each["name"], f"{each['value']:.3g}", _aim(each["limit"], each["value"], at_least=each["at_least"]))
        for each in report["checks"]
    )
    return _table(("check", "figure", "aim"), rows)


def _left_out(report: Report) -> str:
    return "\n".join(f"* left out: {name}" for name in report["left_out"])


def _table(names: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [_line(row) for row in rows]
    return "\n".join([_line(names), "|" + "---|" * len(names), *lines]) if lines else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
