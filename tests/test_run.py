"""The whole way on the toy dataset with the tiny model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BASE = ["dataset=toy", "base_llm=tiny", "tracker=silent", "budget.sft_rows=64", "budget.iteration_rows=16"]
SMALL = [*BASE, "budget.test_rows=20", "budget.iterations=1", "trainer.threads=1"]


def sprec(home, folder, *overrides, module="sprec.run", check=True):
    environment = {**os.environ, "SPREC_HOME": str(home)}
    where = [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"] if module == "sprec.run" else []
    command = [sys.executable, "-m", module, *where, *overrides]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert not check or done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("first")
    done = sprec(home, folder, *SMALL)
    return home, folder, done


def record(folder):
    return json.loads((Path(folder) / "run.json").read_text())


def test_run_ends_with_a_table_of_every_stage(first):
    _, folder, done = first
    assert "most popular" in done.stdout
    assert "iteration 1" in done.stdout
    labels = [each["label"] for each in record(folder)["evaluations"]]
    assert labels == ["most_popular", "initial_sft", "iteration_1"]
    assert {"hr@1", "ndcg@5", "div_ratio@1", "or_ratio@5", "mgu@1", "dgu@5", "off_catalog"} <= set(
        record(folder)["evaluations"][1]["scores"]
    )


def test_second_run_reuses_every_stage(first, tmp_path):
    home, folder, _ = first
    sprec(home, tmp_path, *SMALL)
    assert all(stage["reused"] for stage in record(tmp_path)["stages"])
    assert record(tmp_path)["evaluations"] == record(folder)["evaluations"]


def test_same_command_on_an_empty_store_gives_identical_predictions(first, tmp_path):
    home, folder, _ = first
    sprec(tmp_path / "home", tmp_path / "out", *SMALL)
    assert record(tmp_path / "out")["evaluations"] == record(folder)["evaluations"]
    for path in home.glob("stages/evaluate/*/predictions.parquet"):
        twin = tmp_path / "home" / path.relative_to(home)
        assert twin.read_bytes() == path.read_bytes()


def test_plan_names_stages_and_computes_nothing(first, tmp_path):
    home, _, _ = first
    done = sprec(home, tmp_path, *SMALL, "budget.iterations=2", "+plan=true")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("stored", "to run"))]
    assert [line[:6] for line in lines].count("to run") == 4
    assert not (tmp_path / "run.json").exists()


def test_ablation_sweep_shares_the_initial_sft_and_reports_every_arm(first, tmp_path):
    home, _, _ = first
    sprec(home, tmp_path, *SMALL, "+sweep=ablation", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "-m")
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/run.json"))]
    assert {run["method"] for run in found} == {"sprec", "without_sft", "without_dpo", "random_negatives"}
    assert len({run["stages"][0]["key"] for run in found}) == 1
    computed = [s["key"] for run in found for s in run["stages"] if not s["reused"]]
    assert len(computed) == len(set(computed))
    table = sprec(home, tmp_path, str(tmp_path), "--table", "ablation", module="sprec.report").stdout
    assert all(run["method"] in table.replace("\\", "") for run in found)


def test_mistyped_key_fails_with_its_name(tmp_path):
    done = sprec(tmp_path, tmp_path, "budget.sft_row=3", check=False)
    assert done.returncode != 0
    assert "sft_row" in done.stderr


def test_unknown_device_is_one_line(tmp_path):
    done = sprec(tmp_path, tmp_path, *SMALL, "trainer.device=cuda", check=False)
    assert done.returncode != 0
    assert "no CUDA device" in done.stderr
