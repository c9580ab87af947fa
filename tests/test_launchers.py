"""One sweep under each launcher: equal scores, each stage computed once, a killed job alone is missing."""

import importlib.util
import json

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.records.output_folder import fresh_command
from sprec.run import CONF
from tests import commands

SMALL = [
    *("dataset=toy", "base_llm=tiny", "tracker=silent", "budget.sft_rows=64", "budget.iteration_rows=8"),
    *("budget.test_rows=10", "budget.iterations=1", "budget.initial.epochs=1", "trainer.threads=1"),
    "trainer.device=cpu",
]
ARMS = "method=without_dpo,random_negatives"
DEADLY = """
import os, signal

def killed(policy, reference, **_):
    os.kill(os.getpid(), signal.SIGKILL)

also_killed = killed
"""


def sprec(home, folder, *overrides, module="sprec.run", path="", **how):
    where = [f"hydra.sweep.dir={folder}", *SMALL] if module == "sprec.run" else [str(folder)]
    environment = {"SPREC_HOME": str(home), "PYTHONPATH": str(path)}
    return commands.run(module, [*where, *overrides], environment, **how)


def records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/run.json"))]


def scores(found):
    return {run["method"]: run["evaluations"] for run in found}


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("basic")
    sprec(folder / "home", folder, ARMS, "-m")
    return records(folder)


@pytest.mark.parametrize(
    ("launcher", "plugin"),
    [
        ("cores", "hydra_joblib_launcher"),
        ("slurm_local", "hydra_submitit_launcher"),
        ("ray", "hydra_ray_launcher"),
    ],
)
@pytest.mark.long
def test_every_launcher_gives_the_scores_of_the_basic_one_and_computes_each_stage_once(
    basic, tmp_path, launcher, plugin
):
    if importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        pytest.skip(f"hydra/launcher={launcher} needs {plugin.replace('_', '-')}")
    sprec(tmp_path / "home", tmp_path, ARMS, f"hydra/launcher={launcher}", "-m", fresh=True)
    found = records(tmp_path)
    assert scores(found) == scores(basic)
    assert len(found) == 2
    stages = [stage for run in found for stage in run["stages"]]
    computed = [stage["key"] for stage in stages if not stage["reused"]]
    assert len(computed) == len(set(computed)) == len({stage["key"] for stage in stages})


def test_command_of_a_sweeps_job_repeats_it_alone_in_its_place(basic):
    for number, run in enumerate(basic):
        assert run["command"].startswith("python -m sprec.run ")
        assert f"method={run['method']} " in run["command"]
        assert run["command"].split()[-2] == "hydra.mode=RUN"
        assert run["command"].endswith(f"/{number}")


@pytest.mark.long
@pytest.mark.parametrize(
    ("launcher", "plugin"), [("cores", "hydra_joblib_launcher"), ("slurm_local", "hydra_submitit_launcher")]
)
def test_other_jobs_outlive_a_killed_one_and_the_table_names_it_with_its_command(tmp_path, launcher, plugin):
    pytest.importorskip(f"hydra_plugins.{plugin}")
    (tmp_path / "deadly.py").write_text(DEADLY)
    arms = "objective._target_=deadly.killed,deadly.also_killed,sprec.training.objectives.dpo"
    options = ["method=random_negatives", arms, f"hydra/launcher={launcher}", "-m"]
    done = sprec(tmp_path / "home", tmp_path, *options, path=tmp_path, fresh=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    killed, *_, last = found = records(tmp_path)  # the last of `cores` starts when another has ended
    assert [run["status"] for run in found] == ["running", "running", "finished"]
    assert "evaluate iteration_1" in [stage["label"] for stage in last["stages"]]
    table = sprec(tmp_path / "home", tmp_path, "--table", "ablation", module="sprec.report").stdout
    again = fresh_command(killed["command"])
    assert again != killed["command"]
    for text in (done.stdout, table.replace("\\", "")):
        assert f"still running, or stopped; to run it again: {again}" in text


@pytest.mark.parametrize(
    ("preset", "key", "value"),
    [("slurm", "gpus_per_node", 1), ("slurm_local", "timeout_min", 720), ("cores", "n_jobs", 2)],
)
def test_presets_build_on_the_plugins_own_options(preset, key, value):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"hydra/launcher={preset}"], return_hydra_config=True)
    assert config.hydra.launcher[key] == value
    assert config.hydra.launcher._target_.startswith("hydra_plugins.")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed here")
def test_a_plugin_that_is_not_installed_is_named_with_its_extra(tmp_path):
    done = sprec(tmp_path, tmp_path, "seed=0,1", "hydra/launcher=ray_gpu", "-m", check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("it comes with, in the checkout: pip install -e '.[ray]'\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_failed_job_leaves_the_others_and_the_command_that_names_it(tmp_path):
    options = ["+sweep=ablation", "method=sft", "budget.initial.learning_rate=1e-3,1e30"]
    options += ["budget.initial.warmup_steps=1"]
    done = sprec(tmp_path / "home", tmp_path, *options, "-m", check=False)
    assert done.returncode == 1
    assert [run["status"] for run in records(tmp_path)] == ["finished", "failed"]
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: initial sft: gradient norm is nan at step 2 of 4")
    assert last.endswith(f"python -m sprec.report {tmp_path} --table ablation")


def test_a_search_maximises_its_goal_on_validation_rows(tmp_path):
    if importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
        pytest.skip("+search=learning_rate needs hydra-optuna-sweeper")
    trials = ["hydra.sweeper.n_trials=2", "goal=or_ratio@1", "budget.iterations=0"]
    sprec(tmp_path / "home", tmp_path, "+search=learning_rate", *trials)
    found = [run["evaluations"][-1] for run in records(tmp_path)]
    assert [(each["label"], each["split"]) for each in found] == 2 * [("initial_sft", "valid")]
    best = OmegaConf.load(tmp_path / "optimization_results.yaml")
    assert best.best_value == max(each["scores"]["or_ratio@1"] for each in found)
    assert 1e-4 <= best.best_params["budget.initial.learning_rate"] <= 1e-2
