"""Where the numbers of a page come from, run by run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sprec.records.run_record import RunRecord
from sprec.report.labels import LABELS
from sprec.report.tables.missing import format_commit
from sprec.report.tables.run_names import run_name
from sprec.report.tables.table import Table


@dataclass(frozen=True)
class RunDetails:
    """A run as a page shows it: `facts` are names with values, the rest is text and tables."""

    name: str
    status: str
    error: str
    command: str
    facts: tuple[tuple[str, str], ...]
    stages: Table | None
    drops: Table | None
    config: str


def runs_table(records: Sequence[RunRecord]) -> Table:
    """Return one row per run: what, how it ended, with which code, how long."""
    rows = tuple(
        (
            *(run_name(record, among=records), record.seed),
            *(LABELS.dataset(record.dataset.name), LABELS.base_llm(record.weights.name)),
            *(record.status, format_commit(record)),
            record.started[:16].replace("T", " "),
            _minutes(record),
        )
        for record in records
    )
    heads = ("run", "seed", "dataset", "base LLM", "status", "commit", "started (UTC)", "minutes")
    return Table("All runs of this page", heads, rows, names=len(heads))


def run_title(record: RunRecord, among: Sequence[RunRecord]) -> str:
    """Return what tells a run from all others of a page: its arm, data, base LLM and seed."""
    setting = f"{LABELS.dataset(record.dataset.name)} × {LABELS.base_llm(record.weights.name)}"
    return f"{run_name(record, among=among)} on {setting}, seed {record.seed}"


def run_details(record: RunRecord, among: Sequence[RunRecord], *, with_config: bool) -> RunDetails:
    """Return what a page says of a run; its configuration is long and may be left out."""
    # `default=str`: a configuration of other people's may hold what JSON does not know.
    config = json.dumps(record.config, indent=1, ensure_ascii=False, default=str) if with_config else ""
    return RunDetails(
        name=run_title(record, among),
        status=record.status,
        error=(record.error or "").split("\n")[0],
        command=record.command,
        facts=tuple((name, value) for name, value in _facts(record).items() if value),
        stages=_stages(record),
        drops=_drops(record),
        config=config,
    )


def _facts(record: RunRecord) -> dict[str, str]:
    rows, items = record.dataset.rows, record.dataset.items
    return {
        "commit": format_commit(record, digits=40),
        "seed": str(record.seed),
        "started": record.started,
        "finished": record.finished or "",
        "device": f"{record.device}, {record.precision}, {record.threads} threads",
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "dataset": f"{record.dataset.name}, {record.dataset.digest}",
        "examples": f"{rows.train} train, {rows.valid} valid, {rows.test} test; {items} items",
        "base LLM": f"{record.weights.name}, {record.weights.digest}",
        "W&B": record.tracker,
        "schema": str(record.schema),
    }


def _stages(record: RunRecord) -> Table | None:
    rows = tuple(
        (stage.label, stage.key, round(stage.seconds, 1), "yes" if stage.reused else "no")
        for stage in record.stages
    )
    return Table("Stages", ("stage", "key", "seconds", "reused"), rows, names=2) if rows else None


def _drops(record: RunRecord) -> Table | None:
    rows = tuple(
        (label, reason.replace("_", " "), count)
        for label, counts in record.drops.items()
        for reason, count in counts.items()
        if count
    )
    return Table("Left out", ("where", "why", "rows"), rows, names=2) if rows else None


def _minutes(record: RunRecord) -> str:
    if not record.finished:
        return "–"
    duration = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    return f"{duration.total_seconds() / 60:.1f}"
