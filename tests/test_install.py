"""The wheel, installed without constraints in a new environment outside the checkout, runs by itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = (
    *(
        "trainer.threads=1",
        "trainer.device=cpu",
        "tracker=silent",
        "budget.sft_rows=64",
        "budget.initial.epochs=1",
    ),
    *("budget.iteration_rows=16", "budget.iterations=1", "budget.test_rows=20", "budget.valid_rows=10"),
)


def run(*command, cwd):
    # PYTHONPATH would find the checkout, PIP_CONSTRAINT its versions.
    environment = {
        name: text for name, text in os.environ.items() if name not in {"PYTHONPATH", "PIP_CONSTRAINT"}
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**environment, "SPREC_HOME": str(cwd / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.install
def test_wheel_runs_in_an_environment_of_its_own(tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    run(tmp_path / "env/bin/python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    sprec = tmp_path / "env/bin/sprec"
    printed = run(sprec, "dataset=toy", "base_llm=tiny", *SMALL, "hydra.run.dir=out", cwd=tmp_path)
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["status"] == "finished"
    assert "HR@5" in printed
    assert "untested" not in printed
