"""The benchmark as a table for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.measure import Check, Growth, Outcome
from benchmarks.results import Results


def show(machine: Machine, results: Results, console: Console) -> None:
    """Print machine, contests, growth, checks, and what was left out."""
    console.print(heading(machine))
    for table in tables(results):
        console.print(table)
    for name in results.left_out:
        console.print(f"left out: {name}")


def markdown(machine: Machine, results: Results) -> str:
    """Return the same as Markdown, for the README."""
    left_out = "\n".join(f"* left out: {name}" for name in results.left_out)
    return "\n\n".join(filter(None, [heading(machine), *map(_markdown, tables(results)), left_out]))


def _markdown(table: Table) -> str:
    columns = [[str(column.header), "---", *map(str, column.cells)] for column in table.columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*columns, strict=True))


def heading(machine: Machine) -> str:
    """Return what the figures depend on, in a line."""
    return (
        f"{machine.processor}, {machine.threads} threads; products {machine.peak_bf16 / 1e9:.0f} GFLOP/s in "
        f"bf16, {machine.peak_float32 / 1e9:.0f} in float32; commit {machine.provenance['commit']}"
    )


def tables(results: Results) -> list[Table]:
    """Return contests, growths and checks."""
    return [contest_table(results.contests), growth_table(results.growths), check_table(results.checks)]


def contest_table(outcomes: Sequence[Outcome]) -> Table:
    """Return one row per contest."""
    columns = (
        "row",
        "ours /s",
        "peer /s",
        "ratio",
        "at least",
        "of peak",
        "ratio at peak",
        "tokens/s",
        "GB ours, peer",
        "peer",
    )
    table = Table(*columns, title="Ours and the peer in turn: medians; ratio with its range over the pairs")
    for each in outcomes:
        table.add_row(*cells(each))
    return table


def cells(each: Outcome) -> tuple[str, ...]:
    """Return what a contest's row says."""
    return (
        each.name,
        f"{each.ours_rate:.2f} {each.unit}",
        f"{each.peer_rate:.2f}",
        f"{each.ratio:.3g} ({each.ratio_low:.3g}–{each.ratio_high:.3g}, n={each.pairs})",
        "" if each.at_least is None else f"{each.at_least:g} {'✓' if each.ratio >= each.at_least else '✗'}",
        "" if each.peak_share is None else f"{each.peak_share:.0%}",
        "" if each.ratio_at_peak is None else f"{each.ratio_at_peak:.1f}",
        f"{each.tokens_per_second:.0f}" if each.tokens_per_second else "",
        f"{each.ours_bytes / 1e9:.1f}, {each.peer_bytes / 1e9:.1f}",
        each.peer,
    )


def check_table(checks: Sequence[Check]) -> Table:
    """Return one row per check."""
    table = Table("check", "figure", "limit", title="Checks")
    for each in checks:
        sign = "≥" if each.at_least else "≤"
        limit = "" if each.limit is None else f"{sign} {each.limit:g} {'✓' if each.passed else '✗'}"
        table.add_row(each.name, f"{each.value:.4g}", limit)
    return table


def growth_table(growths: Sequence[Growth]) -> Table:
    """Return one row per growth."""
    table = Table("growth", "sizes", "seconds", "s per unit", "R²", "peak GB", title="Growth")
    for each in growths:
        table.add_row(
            f"{each.name} ({each.unit})",
            ", ".join(f"{size:,}" for size in each.sizes),
            ", ".join(f"{seconds:.2f}" for seconds in each.seconds),
            f"{each.slope:.3g}",
            f"{each.r2:.4f}",
            ", ".join(f"{value / 1e9:.2f}" for value in each.peak_bytes),
        )
    return table
