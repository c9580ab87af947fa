"""W&B sweeps: what `wandb agent` would run are the jobs of Hydra's own sweep."""

import itertools

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sprec.experiment.config import validate_settings
from sprec.report.__main__ import main
from sprec.report.dashboards.sweep_export import FOLDER, SWEEPS, convert_sweep
from sprec.run import CONF

NAMES = [path.stem for path in sorted(SWEEPS.glob("*.yaml"))]


def compose_settings(overrides):
    return OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True)


@pytest.fixture
def composing(monkeypatch):
    """Hydra's configuration folder is open, as for a job of an agent."""
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def agent_commands(document):
    """Return the command line of every job of a grid, as the W&B client builds it."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    names, choices = zip(
        *((name, each["values"]) for name, each in document["parameters"].items()), strict=True
    )
    for values in itertools.product(*choices):
        given = {name: {"value": value} for name, value in zip(names, values, strict=True)}
        filled = utils.create_sweep_command_args({"args": given})
        filled |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [document["program"]]}
        yield [
            word
            for part in utils.create_sweep_command(list(document["command"]))
            for word in filled.get(part.removeprefix("${").removesuffix("}"), [part])
        ]


def hydra_jobs(params):
    """Return the overrides of every job of a multirun, as Hydra's own parser expands them."""
    parser = OverridesParser.create()
    grid = [parser.parse_override(f"{key}={values}") for key, values in params.items()]
    expanded = [
        [f"{each.get_key_element()}={value}" for value in each.sweep_string_iterator()] for each in grid
    ]
    return list(itertools.product(*expanded))


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_runs_the_jobs_of_the_sweep(composing, capsys, name):
    fixed = ["dataset=toy", "budget=tiny"]
    assert main(["wandb-sweep", name, *fixed]) == 0
    document = yaml.safe_load(capsys.readouterr().out)
    params = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())["hydra"]["sweeper"]["params"]
    commands = list(agent_commands(document))
    common = [
        "/usr/bin/env",
        "python",
        "-m",
        "sprec.run",
        "tracker=wandb",
        FOLDER,
        "dataset=toy",
        "budget=tiny",
    ]
    assert all(words[:8] == common for words in commands)
    assert [tuple(words[8:]) for words in commands] == hydra_jobs(params)
    assert len(commands) > 1
    for words in commands:
        validate_settings(compose_settings(words[4:]))


def test_overrides_with_several_values_join_the_grid_and_others_the_command():
    document = convert_sweep(SWEEPS / "ablation.yaml", ["dataset=toy", "seed=0,1", "method=sprec"])
    assert document["parameters"] == {"seed": {"values": [0, 1]}}
    assert document["command"][-3:] == ["dataset=toy", "method=sprec", "${args_no_hyphens}"]
    assert (document["method"], document["name"]) == ("grid", "ablation")


def test_a_sweep_that_sets_more_than_its_grid_is_read_by_every_job(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text("budget: {iterations: 2}\nhydra: {sweeper: {params: {seed: '0,1'}}}\n")
    assert convert_sweep(path)["command"][-3:] == ["+sweep=wide", "hydra.mode=RUN", "${args_no_hyphens}"]


def test_ranges_of_numbers_are_searched_at_random(tmp_path):
    path = tmp_path / "search.yaml"
    params = "{objective.beta: 'tag(log, interval(0.01, 1))', seed: 'choice(0, 1)'}"
    path.write_text(
        "defaults: [override /hydra/sweeper: optuna]\n"
        f"hydra: {{sweeper: {{n_trials: 20, params: {params}}}}}\n"
    )
    document = convert_sweep(path)
    assert document["parameters"] == {
        "objective.beta": {"distribution": "log_uniform_values", "min": 0.01, "max": 1},
        "seed": {"values": [0, 1]},
    }
    assert (document["method"], document["run_cap"]) == ("random", 20)
    assert "+sweep=search" not in document["command"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["nothing"],
            "sprec.report wandb-sweep: there is no sweep nothing; choose one of ablation, base_llm, ",
        ),
        (["beta", "dataset"], "sprec.report wandb-sweep: 'dataset' is no setting; write it as KEY=VALUE\n"),
        (
            ["beta", "seed=glob(*)"],
            "sprec.report wandb-sweep: seed=glob(*): W&B has nothing like glob(…) here; ",
        ),
        (
            ["beta", "datset=movielens"],
            "sprec.report wandb-sweep: datset: no such key; did you mean dataset?\n",
        ),
        (
            ["beta", "dataset=toy,movielen"],
            "sprec.report wandb-sweep: dataset=movielen: no such option of dataset; did you",
        ),
        (
            ["beta", "--output", "/nowhere/x.yaml"],
            "sprec.report wandb-sweep: [Errno 2] No such file or directory: ",
        ),
    ],
    ids=["name", "setting", "values", "key", "option", "output"],
)
def test_what_cannot_be_exported_is_one_line(capsys, arguments, line):
    assert main(["wandb-sweep", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1


def test_a_sweep_without_a_grid_is_named(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("hydra: {mode: MULTIRUN}\n")
    with pytest.raises(ValueError, match=r"empty.yaml varies nothing; it needs hydra.sweeper.params"):
        convert_sweep(path)


def test_output_goes_to_a_file(tmp_path, capsys):
    target = tmp_path / "beta.yaml"
    assert main(["wandb-sweep", "beta", "--output", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert yaml.safe_load(target.read_text())["parameters"]["objective.beta"]["values"] == [
        0.01,
        0.1,
        0.5,
        1,
    ]


def test_options_of_ones_own_are_left_to_the_folder_that_the_words_name():
    own = ["negatives=mine", "hydra.searchpath=[file:///my/conf]"]
    assert set(own) <= set(convert_sweep(SWEEPS / "ablation.yaml", own)["command"])
    with pytest.raises(ValueError, match="negatives=mine: no such option of negatives"):
        convert_sweep(SWEEPS / "ablation.yaml", own[:1])
