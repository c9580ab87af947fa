"""What a sweep says of its size before it begins."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sprec.experiment.hydra_callbacks import read_grid


@pytest.mark.parametrize(
    ("params", "words", "jobs", "varied"),
    [
        ({}, ["seed=0,1,2", "method=sft"], 3, ["seed"]),
        ({"method": "sprec,dpo,sft"}, ["seed=0,1"], 6, ["method", "seed"]),
        ({"method": "sprec,dpo,sft", "seed": "0,1,2"}, ["method=sprec,sft"], 6, ["method", "seed"]),
        ({"method": "sprec,dpo,sft", "seed": "0,1,2"}, ["seed=5"], 3, ["method"]),
        ({"seed": "range(4)"}, ["+sweep=x"], 4, ["seed"]),
    ],
)
def test_jobs_are_counted_as_hydra_makes_them(params, words, jobs, varied):
    sweeper = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper", "params": params}
    config = OmegaConf.create({"hydra": {"sweeper": sweeper, "overrides": {"task": words}}})
    given = [*(f"{key}={value}" for key, value in params.items()), *words]
    overrides = OverridesParser.create().parse_overrides(given)
    assert read_grid(config) == (jobs, varied)
    assert jobs == len(BasicSweeper.split_arguments(overrides, None)[0])
