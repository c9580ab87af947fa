"""A W&B dashboard of some runs as code: `python -m sprec.report dashboard [PATHS] --output FILE.json`.

A workspace to explore and a report to read, made from the run records that the tables are made from.
Both are written as JSON without W&B, and sent to a project with `--publish ENTITY/PROJECT`.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sprec.command_line import CommandParser, run_command
from sprec.records.redaction import redact_text
from sprec.records.run_record import RunRecord
from sprec.report.dashboards.keys import tracked_names
from sprec.report.load_records import load_records
from sprec.report.tables.assemble import ablation_tables
from sprec.report.tables.formats import markdown

# Entity and project of a dashboard that is only written: W&B puts it where it is loaded.
NOWHERE = ("", "sprec")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or publish the dashboard; return 0, or 2 after one line on what is wrong."""
    return run_command(_parser(), arguments, _make_dashboard, PublishError)


def _make_dashboard(options: argparse.Namespace) -> None:
    records = [record for _, record in load_records(options.paths)]
    entity, project = _destination(options.publish)
    try:
        views = build_dashboard(records, entity=entity, project=project, name=options.name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"a dashboard needs {error.name}: pip install -e '.[report]' in the checkout"
        ) from error
    _write(dashboard_json(*views), options.output, silent=bool(options.publish))
    if options.publish:
        sys.stdout.writelines(f"{address}\n" for address in publish(*views))


class PublishError(RuntimeError):
    """W&B did not take a dashboard; the message is one line that says why and what to do."""


def build_dashboard(records: Sequence[RunRecord], *, entity: str, project: str, name: str) -> tuple[Any, Any]:
    """Return the workspace and the report of these runs."""
    # Importing the W&B packages takes seconds, and they come with the extra `report`.
    from sprec.report.dashboards.panels import build_report, build_workspace

    names = tracked_names(records)
    report = build_report(
        names,
        entity=entity,
        project=project,
        title=name,
        tables=[markdown(table) for table in ablation_tables(records)],
        commands=list(dict.fromkeys(record.command for record in records)),
    )
    return build_workspace(names, entity=entity, project=project, name=name), report


def dashboard_json(workspace: Any, report: Any) -> str:
    """Return both as JSON in the form that W&B keeps; the same runs give the same text."""
    models = {"workspace": workspace._to_model(), "report": report._to_model()}
    plain = {
        key: model.model_dump(mode="json", by_alias=True, exclude_none=True) for key, model in models.items()
    }
    text = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
    # The library draws random ids; numbers in their place make the same runs give the same text.
    ids = dict.fromkeys(re.findall(r'"(?:__id__|id)": "([0-9a-z]+)"', text))
    for number, name in enumerate(ids, start=1):
        text = text.replace(f'"{name}"', f'"panel{number}"')
    return text


def publish(workspace: Any, report: Any) -> list[str]:
    """Save both at W&B as new views and return their addresses; `PublishError` where that fails."""
    import wandb

    # A silent session never asks for a login at the terminal; by default the client retries for over 20 s.
    patience = {"x_graphql_retry_max": 2, "x_graphql_retry_wait_max_seconds": 1, "login_timeout": 1}
    wandb.setup(settings=wandb.Settings(silent=True, **patience))
    if wandb.api.api_key is None:
        raise PublishError("no login at W&B: run `wandb login` or set WANDB_API_KEY; the JSON needs neither")
    try:
        return [saved.url for saved in (workspace.save(), report.save())]
    # Beside its own errors the client lets those of its HTTP and JSON layers through.
    except (wandb.Error, OSError, ValueError, TypeError, KeyError) as error:
        reason = redact_text(" ".join(str(error).split()))
        raise PublishError(f"W&B did not take the dashboard, the JSON holds it: {reason}") from error


def _write(text: str, path: Path | None, *, silent: bool) -> None:
    """Write to a file, or to the terminal unless only addresses are wanted there."""
    if path is not None:
        path.write_text(text, encoding="utf-8")
    elif not silent:
        sys.stdout.write(text)


def _destination(text: str | None) -> tuple[str, str]:
    """Return entity and project."""
    if text is None:
        return NOWHERE
    entity, _, project = text.partition("/")
    if not entity or not project or "/" in project:
        raise ValueError(f"--publish {text}: write it as ENTITY/PROJECT, the user or team and the project")
    return entity, project


def _parser() -> CommandParser:
    parser = CommandParser("sprec.report dashboard", __doc__)
    add: Any = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATHS", help="run.json files, or folders (multirun outputs)")
    add("--output", type=Path, metavar="FILE", help="write the JSON to this file, not to the terminal")
    add("--publish", metavar="ENTITY/PROJECT", help="save workspace and report in this project of W&B")
    add("--name", default="sprec", help="the name of both")
    return parser
