"""What a sweep says of its size before it begins."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sprec.experiment.hydra_callbacks import OutputFolders, read_grid, replaced_values


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


@pytest.mark.parametrize(
    ("goal", "direction", "best"),
    [("or_ratio@5", "maximize", "minimize"), ("ndcg@5", "minimize", "maximize")],
)
def test_a_search_for_the_worst_is_refused(goal, direction, best):
    sweeper = {"_target_": "some.OptunaSweeper", "direction": direction}
    hydra = {"sweeper": sweeper, "sweep": {"dir": "out"}, "overrides": {"task": [], "hydra": []}}
    with pytest.raises(SystemExit, match=f"looks for the worst; add hydra.sweeper.direction={best}"):
        OutputFolders().on_multirun_start(OmegaConf.create({"goal": goal, "hydra": hydra}))


def test_values_of_a_sweep_that_the_command_replaces_are_said():
    hydra = {
        "sweeper": {"params": {"method": "sprec,sft"}},
        "overrides": {"task": ["method=sprec", "seed=0,1"]},
    }
    lines = replaced_values(OmegaConf.create({"hydra": hydra}))
    assert lines == ["method=sprec takes the place of the sweep's own method=sprec,sft"]
