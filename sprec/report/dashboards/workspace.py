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

from sprec.records.redaction import redact_text
from sprec.records.run_record import RecordError, RunRecord, find_records
from sprec.report.dashboards.keys import tracked
from sprec.report.tables.assemble import ablation_tables
from sprec.report.tables.formats import markdown

PLACES = (Path("multirun"), Path("outputs"))
"""Where runs are looked for when no path is given."""

NOWHERE = ("", "sprec")
"""Entity and project of a dashboard that is only written: W&B puts it where it is loaded."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or publish the dashboard; return 0, or 2 after one line on what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        records = _records(options.paths)
        entity, project = _destination(options.publish)
        made = dashboard(records, entity=entity, project=project, name=options.name)
        _write(document(*made), options.output, silent=bool(options.publish))
        if options.publish:
            for address in publish(*made):
                sys.stdout.write(f"{address}\n")
    except ModuleNotFoundError as error:
        return _refused(f"a dashboard needs {error.name}: pip install 'sprec[report]'")
    except (ValueError, OSError, PublishError) as error:
        return _refused(str(error))
    return 0


class PublishError(RuntimeError):
    """W&B did not take a dashboard; the message is one line that says why and what to do."""


def dashboard(records: Sequence[RunRecord], *, entity: str, project: str, name: str) -> tuple[Any, Any]:
    """Return the workspace and the report of these runs."""
    from sprec.report.dashboards.panels import report, workspace

    names = tracked(records)
    written = report(
        names,
        entity=entity,
        project=project,
        title=name,
        tables=[markdown(table) for table in ablation_tables(records)],
        commands=list(dict.fromkeys(record.command for record in records)),
    )
    return workspace(names, entity=entity, project=project, name=name), written


def document(workspace: Any, report: Any) -> str:
    """Return both as JSON in the form that W&B keeps; the same runs give the same text."""
    models = {"workspace": workspace._to_model(), "report": report._to_model()}
    plain = {
        key: model.model_dump(mode="json", by_alias=True, exclude_none=True) for key, model in models.items()
    }
    text = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
    drawn = dict.fromkeys(re.findall(r'"(?:__id__|id)": "([0-9a-z]+)"', text))
    for number, name in enumerate(drawn, start=1):
        text = text.replace(f'"{name}"', f'"panel{number}"')
    return text


def publish(workspace: Any, report: Any) -> list[str]:
    """Save both at W&B as new views and return their addresses; `PublishError` where that fails."""
    import wandb

    # A silent session asks for no login at a terminal; unasked, the client tries for 20 s and more.
    patience = {"x_graphql_retry_max": 2, "x_graphql_retry_wait_max_seconds": 1, "login_timeout": 1}
    wandb.setup(settings=wandb.Settings(silent=True, **patience))
    if wandb.api.api_key is None:
        raise PublishError("no login at W&B: run `wandb login` or set WANDB_API_KEY; the JSON needs neither")
    try:
        return [saved.url for saved in (workspace.save(), report.save())]
    except (wandb.Error, OSError, ValueError, TypeError, KeyError) as error:
        reason = redact_text(" ".join(str(error).split()))
        raise PublishError(f"W&B did not take the dashboard, the JSON holds it: {reason}") from error


def _content(view: Any) -> dict[str, object]:
    """Return a workspace or a report as W&B keeps it."""
    content: dict[str, object] = view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    return content


def _write(text: str, path: Path | None, *, silent: bool) -> None:
    """Write to a file, or to the terminal unless that shall show addresses alone."""
    if path is not None:
        path.write_text(text, encoding="utf-8")
    elif not silent:
        sys.stdout.write(text)


def _refused(line: str) -> int:
    sys.stderr.write(f"sprec.report: {line}\n")
    return 2


def _destination(text: str | None) -> tuple[str, str]:
    """Return entity and project."""
    if text is None:
        return NOWHERE
    entity, _, project = text.partition("/")
    if not entity or not project or "/" in project:
        raise ValueError(f"--publish {text}: give it as ENTITY/PROJECT, the user or team and the project")
    return entity, project


def _records(paths: Sequence[Path]) -> list[RunRecord]:
    """Return the runs below these paths; `RecordError` where there are none."""
    found = find_records(list(paths) or [place for place in PLACES if place.exists()])
    if not found:
        looked = ", ".join(map(str, paths or PLACES))
        raise RecordError(f"no run.json below {looked}; run something first, or name other folders")
    return [record for _, record in found]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sprec.report dashboard", description=__doc__)
    add: Any = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATHS", help="run.json files, or folders (multirun outputs)")
    add("--output", type=Path, metavar="FILE", help="write the JSON to this file, not to the terminal")
    add("--publish", metavar="ENTITY/PROJECT", help="save workspace and report in this project of W&B")
    add("--name", default="sprec", help="the name of both")
    return parser
