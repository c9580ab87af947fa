"""W&B dashboards: panels show what a run really tracks; written offline, saved at a stand-in server."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sprec.records.output_folder import Claim, claim_folder
from sprec.records.run_record import DatasetEntry, RowCounts, RunRecord, StageEntry
from sprec.report.__main__ import main
from sprec.report.dashboards.keys import distinguishing_settings, tracked_names
from tests import commands
from tests.report.conftest import evaluations
from tests.wandb_server import WandbServer

TOY = [
    *("dataset=toy", "base_llm=tiny", "embeddings=ngrams", "tracker=offline", "trainer.threads=1"),
    *("budget.sft_rows=512", "budget.iteration_rows=16", "budget.test_rows=8", "budget.iterations=1"),
]


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home without credentials."""
    wandb = pytest.importorskip("wandb")
    pytest.importorskip("wandb_workspaces")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    yield tmp_path
    wandb.teardown()


@pytest.fixture
def folder(make, tmp_path):
    stages = (StageEntry("sft", "initial sft", "k", 1.0, False), StageEntry("dpo", "dpo 1", "k", 1.0, False))
    for number, record in enumerate((make(stages=stages), make(seed=1), make("without_sft"))):
        record.save(tmp_path / "multirun" / str(number) / "run.json")
    return tmp_path / "multirun"


def dashboard(capsys, *arguments):
    status = main(["dashboard", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def inside(value, key):
    """Yield every value that stands under `key` anywhere in a JSON document."""
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if name == key:
            yield each
        if isinstance(each, dict | list):
            yield from inside(each, key)


def shown_names(document):
    """Return the names that panels and columns show, and what runs are grouped by."""
    names = {name for metrics in inside(document, "metrics") for name in metrics}
    axes = {name for key in ("xAxis", "yAxis") for name in inside(document, key)} - {"_step"}
    columns = {name for order in inside(document, "columnOrder") for name in order} - {"run:displayName"}
    tables = {each["val"] for each in inside(document, "key") if isinstance(each, dict) and "val" in each}
    groups = {(each["section"], each["name"]) for keys in inside(document, "grouping") for each in keys}
    return names | tables | {name.removeprefix("summary:") for name in axes | columns}, groups


def history(folder):
    """Return all names of an offline run's rows (a table is told field by field), and how it began."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    command = Path(sys.executable).with_name("wandb")
    command = [command if command.exists() else shutil.which("wandb"), "leet", "inspect", "--json", run]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    (begun,) = (line["run"] for line in lines if line["type"] == "run")
    rows = [line["history"]["item"] for line in lines if line["type"] == "history"]
    return {name.partition(".")[0] for row in rows for name in row if name[0] != "_"}, begun


@pytest.mark.long
def test_every_name_that_a_panel_shows_is_tracked_by_a_run_and_no_score_is_left_out(
    home, sprec_home, tmp_path, capsys
):
    words = [f"hydra.run.dir={tmp_path / 'run'}", *TOY]
    commands.run("sprec.run", words, {"SPREC_HOME": str(sprec_home)})
    status, out, _ = dashboard(capsys, tmp_path / "run")
    assert status == 0
    document = json.loads(out)
    logged, begun = history(tmp_path / "run")
    assert {
        "hr@5",
        "off_catalog",
        "initial_sft/loss",
        "sft/loss",
        "dpo/loss",
        "dpo/rewards/margins",
        "predictions/iteration_1",
    } <= logged
    for part in ("workspace", "report"):
        names, groups = shown_names(document[part])
        assert names <= logged
        longest = {name for name in logged if not name.endswith("@1")}
        assert longest - {"initial_sft/step", "sft/step", "dpo/step", "iteration"} <= names
        assert groups == {("run", "jobType")}
    assert begun["job_type"] == RunRecord.load(tmp_path / "run" / "run.json").method


def test_the_report_holds_the_tables_and_the_commands(capsys, home, folder):
    main([str(folder), "--table", "ablation", "--tests", "off"])
    table = capsys.readouterr().out
    document = json.loads(dashboard(capsys, folder, "--name", "Ablation, August")[1])
    blocks = document["report"]["spec"]["blocks"]
    assert next(block["content"] for block in blocks if block["type"] == "markdown-block") == table
    code = next(block for block in blocks if block["type"] == "code-block")
    lines = code["children"][0]["children"][0]["text"].splitlines()
    assert lines == [
        "python -m sprec.run method=sprec seed=0",
        "python -m sprec.run method=sprec seed=1",
        "python -m sprec.run method=without_sft seed=0",
    ]
    assert document["workspace"]["displayName"] == document["report"]["displayName"] == "Ablation, August"


def test_a_run_without_a_record_is_said(capsys, home, folder, tmp_path):
    with suppress(OSError), claim_folder(folder / "7", Claim("python -m sprec.run seed=7", "now")):
        raise OSError("no space left")
    status, _, err = dashboard(capsys, folder, "--output", tmp_path / "dashboard.json")
    line = f"sprec.report: {folder / '7'}: no space left; to run it again: python -m sprec.run seed=7\n"
    assert (status, err) == (0, line)


def test_only_stages_that_ran_have_curves(make):
    assert tracked_names([make()]).curves == {}
    stages = (StageEntry("sft", "initial sft", "k", 1.0, False),)
    assert tracked_names([make(stages=stages), make(seed=1)]).curves == {
        "initial_sft/step": tuple(
            f"initial_sft/{name}" for name in ("loss", "grad_norm", "learning_rate", "clipped_share")
        )
    }


def test_a_stage_that_chose_weights_by_validation_rows_shows_their_loss(make):
    stages = (StageEntry("sft", "initial sft", "k", 1.0, False), StageEntry("dpo", "dpo 1", "l", 1.0, False))
    curves = {"initial sft": {"loss": (2.0, 1.0), "validation_loss": (1.5,)}, "dpo 1": {"loss": (0.7,)}}
    tracked = tracked_names([make(stages=stages, curves=curves)]).curves
    assert tracked["initial_sft/step"][-1] == "initial_sft/validation_loss"
    assert "dpo/validation_loss" not in tracked["dpo/step"]


def test_scores_stand_as_in_the_tables(make):
    names = tracked_names([make()])
    assert names.scores[:3] == ("hr@1", "ndcg@1", "div_ratio@1")
    assert names.scores[-2:] == ("dgu@5", "off_catalog")
    assert names.final[0] == "hr@5"
    assert names.tables == ("predictions/initial_sft", "predictions/iteration_1")


def test_as_few_settings_as_tell_arms_apart_group_the_runs(make):
    def run(method, seed, **config):
        return make(method, seed=seed, config={"seed": seed, "trainer": {"threads": seed}, **config})

    assert (
        distinguishing_settings([run("sprec", 0, beta=1), run("sprec", 1, beta=1), run("dpo", 0, beta=2)])
        == []
    )
    arms = [
        run("sprec", 0, negatives={"_target_": "Random", "count": 1}, beta=1),
        run("sprec", 1, negatives={"_target_": "Popular", "count": 3}, beta=1),
    ]
    assert distinguishing_settings(arms) == ["negatives._target_"]
    assert distinguishing_settings(
        [*arms, run("sprec", 0, negatives={"_target_": "Popular", "count": 3}, beta=2)]
    ) == [
        "negatives._target_",
        "beta",
    ]


@pytest.mark.parametrize(
    ("name", "digest", "dataset", "split", "expected"),
    [
        ("books", "bb", {"name": "books", "history_max": 5}, "test", ["dataset.name"]),
        ("films", "bb", {"name": "films", "history_max": 5}, "test", ["dataset.history_max"]),
        ("films", "aa", {"name": "films", "history_max": 9}, "valid", ["split"]),
        # The same data in two places, or under a setting that changes nothing in them, are one arm's.
        ("films", "aa", {"name": "films", "history_max": 9, "path": "/b"}, "test", []),
    ],
    ids=["dataset", "build", "split", "path"],
)
def test_runs_on_other_data_are_no_seeds_of_one_arm(make, name, digest, dataset, split, expected):
    def run(seed, name, digest, dataset, split):
        data = DatasetEntry(name, digest, 4, RowCounts(3, 2, 1))
        scored = tuple(replace(one, split=split) for one in evaluations(0.02))
        config = {"seed": seed, "dataset": dataset, "split": split}
        return make(seed=seed, dataset=data, evaluations=scored, config=config)

    first = run(0, "films", "aa", {"name": "films", "history_max": 9, "path": "/a"}, "test")
    second = run(1, name, digest, {"path": "/a"} | dataset, split)
    assert distinguishing_settings([first, second]) == expected


def test_settings_that_tell_arms_apart_group_panels_under_the_name_that_wandb_keeps_them(
    capsys, home, make, tmp_path
):
    for seed, beta in enumerate((0.1, 1.0)):
        config = {"seed": seed, "objective": {"beta": beta}}
        make(seed=seed, config=config).save(tmp_path / "runs" / str(seed) / "run.json")
    document = json.loads(dashboard(capsys, tmp_path / "runs")[1])
    expected = {("run", "jobType"), ("config", "objective.value.beta")}
    assert [shown_names(document[part])[1] for part in ("workspace", "report")] == [expected, expected]


def test_the_same_runs_give_the_same_file(capsys, home, folder, tmp_path):
    for name in ("one", "two"):
        assert dashboard(capsys, folder, "--output", tmp_path / name) == (0, "", "")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_publishing_saves_both_and_says_where(capsys, home, folder, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        status, out, err = dashboard(capsys, folder, "--publish", "me/papers")
    assert (status, err) == (0, "")
    assert [line.split("?")[0].rsplit("--")[0] for line in out.splitlines()] == [
        f"{server.url}/me/papers",
        f"{server.url}/me/papers/reports/sprec",
    ]
    assert [(view["entityName"], view["projectName"], view["type"]) for view in server.views] == [
        ("me", "papers", "project-view"),
        ("me", "papers", "runs"),
    ]
    assert all("hr@5" in view["spec"] for view in server.views)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--publish", "me/papers"], "no login at W&B: run `wandb login` or set WANDB_API_KEY; "),
        (["--publish", "papers"], "--publish papers: write it as ENTITY/PROJECT, "),
        (["--output", "/nowhere/x.json"], "[Errno 2] No such file or directory: "),
    ],
    ids=["login", "destination", "output"],
)
def test_what_cannot_be_done_is_one_line(capsys, home, folder, arguments, line):
    status, out, err = dashboard(capsys, folder, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"sprec.report dashboard: {line}")
    assert err.count("\n") == 1


def test_a_server_that_is_gone_leaves_the_file(capsys, home, folder, monkeypatch, tmp_path):
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    target = tmp_path / "dashboard.json"
    status, out, err = dashboard(capsys, folder, "--publish", "me/papers", "--output", target)
    assert (status, out) == (2, "")
    assert err.startswith("sprec.report dashboard: W&B did not take the dashboard")
    assert err.count("\n") == 1
    assert json.loads(target.read_text())["workspace"]["project"] == "papers"


def test_no_runs_are_named(capsys, tmp_path):
    status, _, err = dashboard(capsys, tmp_path)
    assert (status, err) == (
        2,
        f"sprec.report dashboard: no run.json below {tmp_path}; run something first, or name other folders\n",
    )
