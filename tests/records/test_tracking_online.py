"""Online tracking with the real client and a stand-in server: rows arrive, and no trouble loses any."""

import json
import logging
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sprec.records.tracking import Wandb
from tests.wandb_server import WandbServer

RUN = {"config": {"seed": 3}, "group": "ablation", "job_type": "sprec", "tags": ["toy"], "name": "sprec-3"}
ROWS = [{"iteration": step, "hr@5": step / 8} for step in range(4)]
PATIENCE = {"mode": "online", "timeout_seconds": 20, "finish_seconds": 2}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server, a key for it, and a home of this test alone."""
    wandb = pytest.importorskip("wandb")
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    server = WandbServer()
    with server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
    yield server
    wandb.teardown()


def begun(tracker, folder):
    tracker.start(**RUN, folder=folder)
    for row in ROWS[:2]:
        tracker.log({"hr@5": row["hr@5"]}, step=row["iteration"], axis="iteration")


def ended(tracker):
    for row in ROWS[2:]:
        tracker.log({"hr@5": row["hr@5"]}, step=row["iteration"], axis="iteration")
    tracker.finish("finished")


def warnings(caplog):
    """Warnings of the tracker; W&B logs for itself."""
    ours = [entry for entry in caplog.records if entry.name == "sprec.records.tracking"]
    return [entry.getMessage() for entry in ours if entry.levelno >= logging.WARNING]


def sync(line):
    """Run the command that a line of the log gives, to its last word."""
    command = shlex.split(re.search(r"(wandb sync .*)$", line).group(1))
    command[0] = str(Path(sys.executable).with_name("wandb"))
    subprocess.run(command, check=True, capture_output=True)


def test_an_online_run_arrives_with_rows_tables_settings_and_its_end(server, tmp_path, caplog):
    tracker = Wandb(**PATIENCE)
    with server, caplog.at_level(logging.INFO):
        begun(tracker, tmp_path / "run")
        address = tracker.address
        tracker.table("predictions/initial_sft", ["written"], [["Heat"]])
        ended(tracker)
    assert f"W&B run: {address}" in caplog.text
    assert address.startswith(f"{server.url}/me/sprec/runs/")
    run = address.rsplit("/", 1)[1]
    assert [row for row in server.history(run) if "hr@5" in row] == ROWS
    (table,) = (content for name, content in server.files.items() if "predictions/initial_sft" in name)
    assert json.loads(table) == {"columns": ["written"], "data": [["Heat"]]}
    sent = server.runs[run]
    assert (sent["displayName"], sent["groupName"], sent["jobType"]) == ("sprec-3", "ablation", "sprec")
    assert json.loads(sent["config"])["seed"] == {"value": 3}
    assert server.exits == {run: 0}
    assert warnings(caplog) == []


@pytest.mark.parametrize("trouble", ["gone", "refuses"])
def test_a_server_lost_midway_costs_one_line_and_no_row(server, tmp_path, caplog, trouble):
    tracker = Wandb(**PATIENCE)
    with server:
        begun(tracker, tmp_path / "a run")
        run = tracker.address.rsplit("/", 1)[1]
        if trouble == "refuses":
            server.refusing = 403
            ended(tracker)
    if trouble == "gone":
        ended(tracker)
    assert server.exits == {}
    (line,) = warnings(caplog)
    assert line.startswith("W&B did not receive the whole run: ")
    server.refusing = None
    with server:
        sync(line)
    assert server.history(run) == ROWS
    assert server.exits == {run: 0}


def test_a_run_without_a_server_at_its_start_is_sent_later(server, tmp_path, caplog):
    tracker = Wandb(**PATIENCE | {"timeout_seconds": 1})
    begun(tracker, tmp_path / "run")
    assert tracker.offline
    run = tracker.address
    ended(tracker)
    (line,) = warnings(caplog)
    assert line.startswith("W&B cannot go online, so this run is tracked offline: ")
    with server:
        sync(line)
    assert server.history(run) == ROWS
