"""Trackers: offline runs can be read back, trouble with W&B never stops a run."""

import json
import logging
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sprec.records.tracking import Silent, Tracker, Wandb

RUN = {
    "config": {"seed": 3, "tracker": {"api_key": "secret"}},
    "group": "ablation",
    "job_type": "train",
    "tags": ["toy", "t" * 100],
    "name": "sprec, seed 3",
}


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    """A home without credentials, and a W&B session of this test alone."""
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    yield
    wandb.teardown()


@pytest.fixture
def closed_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def records(folder):
    """Everything an offline run wrote, as (type, content)."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    wandb = Path(sys.executable).with_name("wandb")
    command = [wandb if wandb.exists() else shutil.which("wandb"), "leet", "inspect", "--json", run]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [(line["type"], line[line["type"]]) for line in lines]


def exit_code(written):
    """How the run ended; a run of a second or more states its seconds beside it."""
    return next(content["exit_code"] for kind, content in written if kind == "exit")


def warnings(caplog):
    """What the tracker said; W&B logs for itself."""
    return [record.getMessage() for record in caplog.records if record.name == "sprec.records.tracking"]


def spoil(monkeypatch, tracker, error):
    """Make W&B raise `error` whenever scores are logged."""

    def log(*arguments):
        raise error

    monkeypatch.setattr(type(tracker._run), "log", log)


def test_an_offline_run_can_be_read_back(tmp_path, caplog):
    tracker = Wandb()
    with caplog.at_level(logging.INFO):
        tracker.start(**RUN, folder=tmp_path / "run")
    assert tracker.offline
    address = tracker.address
    tracker.log({"sft/loss": 2.5}, step=10, axis="sft/step")
    tracker.log({"hr@5": 0.25, "or_ratio@5": 0.5}, step=0, axis="iteration")
    tracker.log({"hr@5": 0.75, "or_ratio@5": 0.25}, step=1, axis="iteration")
    tracker.table("titles", ["rank", "title"], [[1, "Heat"], [2, None]])
    tracker.finish("finished")
    assert tracker.offline is None
    assert tracker.address == ""
    assert "W&B run is offline; to send it: wandb sync" in caplog.text

    written = records(tmp_path / "run")
    run = next(content for kind, content in written if kind == "run")
    assert run["run_id"] == address
    assert run["config"]["update"]["seed"] == 3
    assert run["config"]["update"]["tracker"] == {"api_key": "***"}
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("sprec, seed 3", "ablation", "train")
    assert run["tags"] == ["toy", "t" * 64]
    rows = [content["item"] for kind, content in written if kind == "history"]
    names = ("iteration", "hr@5", "or_ratio@5", "sft/step", "sft/loss")
    assert [{name: row[name] for name in names if name in row} for row in rows] == [
        {"sft/step": 10, "sft/loss": 2.5},
        {"iteration": 0, "hr@5": 0.25, "or_ratio@5": 0.5},
        {"iteration": 1, "hr@5": 0.75, "or_ratio@5": 0.25},
        {},
    ]
    axes = {content["name"]: content.get("step_metric") for kind, content in written if kind == "metric"}
    assert axes == {
        "sft/step": None,
        "sft/loss": "sft/step",
        "iteration": None,
        "hr@5": "iteration",
        "or_ratio@5": "iteration",
    }
    assert exit_code(written) == 0


def test_a_failed_run_ends_as_failed(tmp_path):
    tracker = Wandb()
    tracker.start(**RUN, folder=tmp_path)
    tracker.finish("failed")
    assert exit_code(records(tmp_path)) == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_artifacts_are_kept_only_where_wanted(tmp_path, wanted):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "weights").write_text("1")
    tracker = Wandb(artifacts=wanted)
    tracker.start(**RUN, folder=tmp_path / "run")
    tracker.artifact("SFT, iteration 1", tmp_path / "adapter", "adapter")
    tracker.finish("finished")
    names = [content["name"] for kind, content in records(tmp_path / "run") if kind == "artifact"]
    assert names == (["SFT-iteration-1"] if wanted else [])


def test_an_unreachable_server_means_offline(tmp_path, monkeypatch, caplog, closed_port):
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    tracker = Wandb(mode="online", timeout_seconds=1)
    tracker.start(**RUN, folder=tmp_path)
    assert tracker.offline
    (line,) = warnings(caplog)
    assert line.startswith("W&B cannot go online, so this run is tracked offline")
    tracker.log({"hr@5": 0.25}, step=0, axis="iteration")
    tracker.finish("finished")
    assert [content["item"]["hr@5"] for kind, content in records(tmp_path) if kind == "history"] == [0.25]


def test_a_missing_login_means_offline_and_says_how_to_log_in(tmp_path, caplog):
    tracker = Wandb(mode="online")
    tracker.start(**RUN, folder=tmp_path)
    assert tracker.offline
    (line,) = warnings(caplog)
    assert "check `wandb login` or WANDB_API_KEY" in line
    tracker.finish("finished")


def test_a_folder_that_cannot_be_written_means_no_tracking(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    tracker = Wandb()
    tracker.start(**RUN, folder=tmp_path / "file" / "run")
    assert tracker.offline is None
    assert warnings(caplog)[0].startswith("W&B cannot be used, so this run is not tracked: ")
    tracker.log({"hr@5": 0.25}, step=0, axis="iteration")
    tracker.finish("finished")
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("error", ["CommError", "Error", OSError("network\nis down"), ValueError("odd")])
def test_trouble_on_the_way_is_reported_once(tmp_path, monkeypatch, caplog, error):
    import wandb

    error = getattr(wandb.errors, error)("lost") if isinstance(error, str) else error
    tracker = Wandb()
    tracker.start(**RUN, folder=tmp_path)
    with monkeypatch.context() as patch:
        spoil(patch, tracker, error)
        tracker.log({"hr@5": 0.25}, step=0, axis="iteration")
        tracker.log({"hr@5": 0.25}, step=1, axis="iteration")
    reason = " ".join(str(error).split())
    assert warnings(caplog) == [f"W&B did not accept scores; the run goes on: {reason}"]
    tracker.finish("finished")


def test_an_interrupt_is_not_swallowed(tmp_path, monkeypatch):
    tracker = Wandb()
    tracker.start(**RUN, folder=tmp_path)
    with monkeypatch.context() as patch:
        spoil(patch, tracker, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            tracker.log({"hr@5": 0.25}, step=0, axis="iteration")
    tracker.finish("finished")


def test_runs_follow_one_another_in_one_process(tmp_path):
    for name in ("one", "two"):
        tracker = Wandb()
        tracker.start(**{**RUN, "name": name}, folder=tmp_path / name)
        tracker.log({"hr@5": 0.25}, step=0, axis="iteration")
        tracker.finish("finished")
    for name in ("one", "two"):
        run = next(content for kind, content in records(tmp_path / name) if kind == "run")
        assert run["display_name"] == name


def test_silent_tracks_nothing(tmp_path):
    tracker: Tracker = Silent()
    tracker.start(**RUN, folder=tmp_path)
    tracker.log({"hr@5": 0.25}, step=0, axis="iteration")
    tracker.table("titles", ["title"], [["Heat"]])
    tracker.artifact("adapter", tmp_path, "adapter")
    tracker.finish("finished")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_imported_before_a_run_is_tracked():
    script = "import sys, sprec.records.tracking; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(("option", "mode"), [("offline", "offline"), ("wandb", "online")])
def test_each_setting_of_a_tracker_can_be_chosen(option, mode):
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from sprec.run import CONF

    chosen = ["tracker.artifacts=true", "tracker.entity=team", "tracker.project=papers"]
    waits = ["tracker.timeout_seconds=1", "tracker.finish_seconds=2"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"tracker={option}", *chosen, *waits])
    assert instantiate(config.tracker) == Wandb(mode, "papers", "team", True, 1, 2)


def test_no_secret_reaches_any_file_of_a_run(tmp_path, monkeypatch):
    words = ["sprec.run", "tracker.api_key=sesame", "dataset.source=https://me:sesame@host/x", "seed=3"]
    monkeypatch.setattr(sys, "argv", words)
    tracker = Wandb()
    names = {"name": "sprec, api_key=sesame", "group": "secret=sesame", "tags": ["token=sesame", "toy"]}
    tracker.start(**RUN | names, folder=tmp_path, notes=" ".join(words))
    tracker.finish("finished")
    assert sys.argv == words
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"tracker.api_key=***" in written
    assert b"sesame" not in written


def test_a_run_goes_on_with_the_one_of_an_attempt_that_did_not_end(tmp_path):
    tracker = Wandb()
    tracker.start(**RUN, folder=tmp_path / "first")
    address = tracker.address
    tracker.finish("failed")
    tracker.start(**RUN, folder=tmp_path / "second", previous=f"https://wandb.ai/me/sprec/runs/{address}")
    assert tracker.address == address
    tracker.finish("finished")
