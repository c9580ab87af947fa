"""Every option composes, and a mistyped key fails before anything loads."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.config import validated
from sprec.run import CONF

GROUP_NAMES = (
    *("dataset", "embeddings", "ranking", "budget", "trainer"),
    *("base_llm", "decoding", "negatives", "method", "tracker"),
)
GROUPS = [
    f"{group}={path.stem}"
    for group in [
        "dataset",
        "embeddings",
        "ranking",
        "budget",
        "trainer",
        "base_llm",
        "decoding",
        "negatives",
        "method",
        "tracker",
    ]
    for path in sorted((CONF / group).glob("*.yaml"))
]
PATHS = {
    "dataset=released": ["dataset.path=DIR"],
    "dataset=movielens_latest_small": ["dataset.path=DIR"],
    "dataset=goodreads": ["dataset.path=DIR"],
    "dataset=cds_and_vinyl": ["dataset.path=DIR"],
    "dataset=steam": ["dataset.path=DIR"],
    "dataset=custom": ["dataset.path=DIR"],
}


def settings(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    return validated(OmegaConf.to_container(config, resolve=True))


@pytest.mark.parametrize("option", GROUPS)
def test_every_option_composes_to_valid_settings(option):
    assert settings(option, *PATHS.get(option, [])).seed == 0


@pytest.mark.parametrize(
    "option", ["+experiment=paper", "+plan=true", "+experiment=paper budget.iterations=1"]
)
def test_deltas_compose(option):
    assert settings(*option.split()).method.name == "sprec"


def test_paper_experiment_has_the_released_sizes():
    budget = settings("+experiment=paper").budget
    assert (budget.sft_rows, budget.valid_rows, budget.test_rows) == (4096, 512, 1000)
    assert (budget.iterations, budget.iteration_rows, budget.initial.epochs) == (5, 2048, 4)


def test_random_arm_swaps_the_negatives_and_the_command_line_wins_over_it():
    assert settings("method=random_negatives").negatives["_target_"].endswith("Random")
    chosen = settings("method=random_negatives", "negatives=self_play").negatives
    assert chosen["_target_"].endswith("SelfPlay")


def test_wrong_value_is_named_with_its_key():
    with pytest.raises(ValueError, match=r"method\.beta.*greater than 0"):
        settings("method.beta=-1")


def test_variant_files_hold_only_what_differs():
    for path in Path(CONF / "method").glob("*.yaml"):
        assert len(path.read_text().splitlines()) <= 12, path.name
