"""The console script completes groups and options in bash, as the README says to install it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ASK = """
eval "$(sprec -sc install=bash)"
COMP_LINE="sprec {typed}"; COMP_POINT=${{#COMP_LINE}}; COMP_CWORD=1
hydra_bash_completion
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

pytestmark = [
    pytest.mark.skipif(shutil.which("bash") is None, reason="no bash"),
    pytest.mark.skipif(not (BIN / "sprec").exists(), reason=f"no console script in {BIN}"),
]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dataset=movielens_1", {"dataset=movielens_10m", "dataset=movielens_1m"}),
        ("ranking=", {f"ranking={path.stem}" for path in (ROOT / "conf" / "ranking").glob("*.yaml")}),
        ("budget.it", {"budget.iteration_rows=", "budget.iterations="}),
        ("+sweep=abl", {"+sweep=ablation"}),
    ],
)
def test_bash_offers_what_can_be_chosen(typed, offered):
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = ["bash", "-c", ASK.format(typed=typed)]
    done = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered
