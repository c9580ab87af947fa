"""Two gloo processes against one: the same losses and weights at equal effective batches."""

import json
import stat

import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import load_file

from sprec.experiment import distributed_worker
from sprec.experiment.config import validate_settings
from sprec.run import CONF
from tests import commands

SMALL = [
    *("dataset=toy", "base_llm=tiny", "tracker=silent", "budget.sft_rows=90", "budget.iteration_rows=10"),
    *("budget.test_rows=5", "budget.initial.epochs=1", "budget.initial.loss_on=title", "budget.dpo.epochs=1"),
    *("base_llm.lora.rank=4", "trainer.device=cpu", "trainer.precision=float32", "trainer.threads=1"),
    "trainer.batch_tokens=500",  # of the longest rows two in a pass, so that steps take several
]
SPREAD = """#!/bin/sh
for _ in 1 2; do "$@" & done
wait
"""


def sprec(folder, *overrides, check=True):
    """Run with a store in the folder: a stage that another run has stored would be equal to itself."""
    where = [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
    environment = {"SPREC_HOME": str(folder / "home")}
    return commands.run("sprec.run", [*where, *SMALL, *overrides], environment, check=check)


def tuned_models(folder, job="."):
    """Return curve and weights of each tuning stage of a run, by label."""
    home, folder = folder / "home", folder / job
    stages = json.loads((folder / "run.json").read_text())["stages"]
    assert not any(each["reused"] for each in stages)
    places = {each["label"]: home / "stages" / each["name"] / each["key"] for each in stages}
    return {
        label: (pl.read_parquet(place / "curve.parquet"), load_file(place / "tuned.safetensors"))
        for label, place in places.items()
        if (place / "curve.parquet").is_file()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    sprec(folder, "method=dpo")
    return tuned_models(folder)


def equal(one, other):
    """Hold losses and margins to 1e-5 of their size, weights to 1e-5."""
    (curve, weights), (curve_of_other, weights_of_other) = one, other
    assert curve.columns == curve_of_other.columns
    for name in curve.columns:
        assert curve_of_other[name].to_list() == pytest.approx(curve[name].to_list(), rel=1e-5, abs=1e-5)
    assert weights.keys() == weights_of_other.keys()
    assert max(float((weights[name] - weights_of_other[name]).abs().max()) for name in weights) < 1e-5


@pytest.mark.long
def test_two_processes_of_a_sweeps_job_tune_as_one_does(alone, tmp_path):
    sprec(tmp_path, "method=dpo", "trainer=ddp", "trainer.devices=2", "-m")
    together = tuned_models(tmp_path, "0")
    assert list(together) == list(alone) == ["initial sft", "dpo 1"]
    steps = [len(curve) for curve, _ in together.values()]
    assert steps == [6, 2]  # of 16 and of 8 rows, the last of 10 and 2
    for label in alone:
        equal(alone[label], together[label])


@pytest.mark.long
@pytest.mark.parametrize("options", [[], ["trainer.checkpointing=true"]], ids=["", "checkpointing"])
def test_two_processes_that_share_out_the_weights_tune_as_one_does(alone, tmp_path, options):
    sprec(tmp_path, "method=dpo", "trainer=fsdp", "trainer.devices=2", *options)
    together = tuned_models(tmp_path)
    assert list(together) == list(alone)
    for label in alone:
        equal(alone[label], together[label])


@pytest.mark.long
def test_two_machines_tune_as_one_does(alone, tmp_path):
    spread = tmp_path / "spread"
    spread.write_text(SPREAD)
    spread.chmod(spread.stat().st_mode | stat.S_IXUSR)
    options = ["trainer=ddp", "trainer.devices=1", "trainer.nodes=2", f"trainer.launch_command=[{spread}]"]
    sprec(tmp_path, "method=sft", *options)
    equal(alone["initial sft"], tuned_models(tmp_path)["initial sft"])


@pytest.mark.long
def test_a_process_that_fails_ends_the_run_with_one_line(tmp_path):
    options = ["trainer=ddp", "budget.initial.learning_rate=1e30", "budget.initial.warmup_steps=1"]
    done = sprec(tmp_path, "method=sft", *options, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: initial sft: loss is nan at step 2 of 6, rows [")
    assert "Traceback" not in done.stderr
    assert "sprec/training/trainer.py" in (tmp_path / "traceback.txt").read_text()


def test_base_weights_are_written_before_there_is_a_group(tmp_path, monkeypatch):
    """In a group transformers writes weights on rank 0 alone, and the store's lock may be another's."""

    class Joining(Exception):
        pass

    def join(*_):
        assert list(tmp_path.glob("stages/weights/*/model.safetensors"))
        raise Joining

    monkeypatch.setenv("SPREC_HOME", str(tmp_path))
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(distributed_worker.dist, "init_process_group", join)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [*SMALL, "trainer=ddp"]), resolve=True)
    config.pop("sweep", None)
    with pytest.raises(Joining):
        distributed_worker._join_group(validate_settings(config), "a key")
