"""Settings of a `_target_` are held to the types that its constructor names."""

from inspect import Parameter, signature
from pathlib import Path
from pydoc import locate

import pytest
from omegaconf import OmegaConf

from sprec.boundaries import InputError
from sprec.experiment.nodes import check_node
from sprec.experiment.strict_settings import typed_parameters

CONF = Path(__file__).parents[2] / "conf"


def nodes(node):
    """Yield every node of a configuration that has a target."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


FILES = [path for path in CONF.rglob("*.yaml") if "hydra" not in path.parts]
NODES = [node for path in FILES for node in nodes(OmegaConf.to_container(OmegaConf.load(path)))]
TARGETS = {node["_target_"]: node for node in NODES if node["_target_"].startswith("sprec.")}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_plain_setting_of_an_option_has_a_type_that_it_is_held_to(name):
    target, settings = locate(name), TARGETS[name]
    takes_any = any(one.kind is Parameter.VAR_KEYWORD for one in signature(target).parameters.values())
    plain = {key for key, value in settings.items() if isinstance(value, bool | int | float | str)}
    plain &= set(signature(target).parameters)  # a dataset's path is not for its constructor
    assert plain <= set(typed_parameters(target)) or takes_any


@pytest.mark.parametrize(
    ("target", "setting", "value"),
    [
        ("sprec.training.objectives.dpo", "beta", True),
        ("sprec.training.objectives.dpo", "beta", float("nan")),
        ("sprec.training.objectives.dmpo", "scaled_by_count", "no"),
        ("sprec.baselines.recommenders.SequentialRecommender", "exclude_history", "no"),
        ("sprec.baselines.recommenders.MostPopular", "exclude_history", 1),
        ("sprec.data.dataset.FromInteractions", "split", "random"),
        ("sprec.data.readers.amazon.Amazon", "format", 2020),
        ("sprec.data.readers.custom.Custom", "time_unit", "h"),
        ("sprec.data.readers.movielens.MovieLens", "edition", "25k"),
        ("sprec.data.readers.steam.Steam", "duplicates", "kept"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_its_key(target, setting, value):
    with pytest.raises(InputError, match=rf"^node\.{setting}: .* is not "):
        check_node("node", {"_target_": target, "_partial_": True, setting: value})
