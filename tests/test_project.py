"""The project's own rules: direction of imports, environment.yml, names of the top level."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "sprec").rglob("*.py"))
LEAVES = {"progress", "seeds"}
"""Modules of one idea that everybody may import."""
ALLOWED = {
    "store": set(),
    "records": {"store"},
    "processes": {"store"},
    "data": set(),
    "evaluation": {"data"},
    "llm": {"data"},
    "generation": {"llm", "evaluation", "data"},
    "negatives": {"generation", "llm", "evaluation", "data"},
    "baselines": {"generation", "llm", "evaluation", "data"},
    "training": {"negatives", "store", "processes", "generation", "llm", "evaluation", "data"},
    "costs": {"training", "negatives", "store", "generation", "llm", "evaluation", "data"},
    "report": {"records", "evaluation", "store"},
    "progress": set(),
    "seeds": set(),
    "algorithm": {"training", "negatives", "generation"},
}
"""Which packages each one imports (docs: imports point one way); experiment and the commands see all."""


COMMANDS = {"__init__", "experiment", "recommend", "run", "score"}
"""Experiment, and what one types: these see all."""


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT / "sprec").parts[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imported(path) if name.startswith("sprec.")} - LEAVES
    assert package in COMMANDS or used <= ALLOWED[package] | {package}, used


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_hydra_lives_in_build_and_run_alone(path):
    used = {name.split(".")[0] for name in imported(path)}
    assert path.name in {"build.py", "run.py"} or not used & {"hydra", "omegaconf"}


owners = cache(packages_distributions)


def declared(package):
    """Return the projects that an installation has in which this package of sprec is used."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"].get(package, [])]
    return {re.match(r"[\w.-]+", line)[0].lower() for line in lines}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_imported_is_declared(path):
    names = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names - {"sprec"}
    found = {owners().get(name, [name])[0].lower() for name in names}
    assert found <= declared(path.relative_to(ROOT / "sprec").parts[0])


def test_wheel_carries_the_configuration(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl"))).extractall(tmp_path / "site")
    command = [sys.executable, "-m", "sprec.run", "--cfg", "job", "+sweep=ablation"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "sprec" / "conf" / "config.yaml").is_file()


def test_environment_pins_nothing():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    assert lines == ["name: sprec", "dependencies:", "- python>=3.11", "- pip", "- pip:", "- -e .[dev]"]
