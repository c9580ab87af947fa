"""Tables of the benchmark for people, on the terminal and as Markdown."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.measure import Check, Growth, Outcome
from benchmarks.results import Results


def print_tables(machine: Machine, results: Results, console: Console) -> None:
    """Print the machine, contests, growths, checks, and the rows that were left out."""
    console.print(machine_line(machine))
    for table in result_tables(results):
        console.print(table)
    for name in results.left_out:
        console.print(f"left out: {name}")


def to_markdown(machine: Machine, results: Results) -> str:
    """Return the same tables as Markdown."""
    left_out = "\n".join(f"* left out: {name}" for name in results.left_out)
    return "\n\n".join(
        filter(None, [machine_line(machine), *map(_table_markdown, result_tables(results)), left_out])
    )


def _table_markdown(table: Table) -> str:
    columns = [[str(column.header), "---", *map(str, column.cells)] for column in table.columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*columns, strict=True))


def machine_line(machine: Machine) -> str:
    """Return processor, threads, product speeds and commit in one line."""
    return (
        f"{machine.processor}, {machine.threads} threads; products {machine.peak_bf16 / 1e9:.0f} GFLOP/s in "
        f"bf16, {machine.peak_float32 / 1e9:.0f} in float32; commit {machine.provenance['commit']}"
    )


def result_tables(results: Results) -> list[Table]:
    """Return the tables of contests, growths and checks."""
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
    table = Table(
        *columns, title="Ours and the peer in turn: medians, and the ratio with its range over the pairs"
    )
    for outcome in outcomes:
        table.add_row(*contest_cells(outcome))
    return table


def contest_cells(outcome: Outcome) -> tuple[str, ...]:
    """Return the cells of a contest's row, in the order of the columns."""
    return (
        outcome.name,
        f"{outcome.ours_rate:.2f} {outcome.unit}",
        f"{outcome.peer_rate:.2f}",
        f"{outcome.ratio:.3g} ({outcome.ratio_low:.3g}–{outcome.ratio_high:.3g}, n={outcome.pairs})",
        ""
        if outcome.at_least is None
        else f"{outcome.at_least:g} {'✓' if outcome.ratio >= outcome.at_least else '✗'}",
        "" if outcome.peak_share is None else f"{outcome.peak_share:.0%}",
        "" if outcome.ratio_at_peak is None else f"{outcome.ratio_at_peak:.1f}",
        f"{outcome.tokens_per_second:.0f}" if outcome.tokens_per_second else "",
        f"{outcome.ours_bytes / 1e9:.1f}, {outcome.peer_bytes / 1e9:.1f}",
        outcome.peer,
    )


def check_table(checks: Sequence[Check]) -> Table:
    """Return one row per check."""
    table = Table("check", "figure", "limit", title="Checks")
    for check in checks:
        sign = "≥" if check.at_least else "≤"
        limit = "" if check.limit is None else f"{sign} {check.limit:g} {'✓' if check.passed else '✗'}"
        table.add_row(check.name, f"{check.value:.4g}", limit)
    return table


def growth_table(growths: Sequence[Growth]) -> Table:
    """Return one row per growth."""
    table = Table("growth", "sizes", "seconds", "s per unit", "R²", "peak GB", title="Growth")
    for growth in growths:
        table.add_row(
            f"{growth.name} ({growth.unit})",
            ", ".join(f"{size:,}" for size in growth.sizes),
            ", ".join(f"{seconds:.2f}" for seconds in growth.seconds),
            f"{growth.slope:.3g}",
            f"{growth.r2:.4f}",
            ", ".join(f"{value / 1e9:.2f}" for value in growth.peak_bytes),
        )
    return table
