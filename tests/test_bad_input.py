"""Words on the command line that do not go together get one line, before anything is trained."""

import sys
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec import run
from sprec.experiment.build import _build_method, _check_title_count, _make_factory
from sprec.experiment.config import validate_settings


def settings(*words):
    with initialize_config_dir(str(run.CONF), version_base="1.3"):
        config = compose("config", overrides=list(words))
    return validate_settings(OmegaConf.to_container(config, resolve=True))


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("negatives.count=3", 3),
        ("negatives=mixture negatives.count=2", 2),
        ("method=sdpo negatives=self_play negatives.count=4", 4),
    ],
)
def test_greedy_self_play_cannot_have_several_titles(words, count):
    with pytest.raises(ValueError, match=rf"negatives.count={count}: greedy .* use decoding=sampled, or neg"):
        _check_title_count(_build_method(settings(*words.split())))


@pytest.mark.parametrize(
    "words",
    [
        *("method=sdpo negatives=self_play negatives.count=4 decoding=sampled", "negatives=beams"),
        "negatives=grounded negatives.count=3",
        *("method=sft negatives.count=3", "method=sasrec negatives.count=3"),
    ],
)
def test_several_titles_are_had_by_sampling_or_from_the_catalogue_or_not_asked_for(words):
    method = _build_method(settings(*words.split()))
    assert _check_title_count(method) is method


@pytest.mark.parametrize(
    ("key", "node", "message"),
    [
        (
            "ranking",
            {"_target_": "sprec.generation.rankers.GroundedRanker", "width": 3},
            r"ranking: GroundedRanker got an unexpected keyword argument 'width'; leave that setting out",
        ),
        (
            "objective",
            {"_target_": "sprec.training.objectives.dpo", "epsilon": 0.1},
            r"objective: dpo got an unexpected keyword argument 'epsilon'",
        ),
    ],
)
def test_a_setting_that_an_object_does_not_take_is_named_with_its_key(key, node, message):
    with pytest.raises(ValueError, match=message):
        _make_factory(key, node)


def test_group_that_was_left_out_is_named_without_all_the_others():
    with pytest.raises(ValueError, match=r"^configuration: embeddings: Field required$"):
        settings("~embeddings")


def test_experiments_are_combined_in_one_list(monkeypatch):
    words = ["+experiment=paper", "dataset=toy", "+experiment=released"]
    monkeypatch.setattr(run, "job", SimpleNamespace())
    monkeypatch.setattr(sys, "argv", ["sprec", *words])
    with pytest.raises(SystemExit, match=r"^error: .* combine them: '\+experiment=\[paper,released\]'$"):
        run.main()


def test_combined_experiments_hold_both_in_any_order():
    both = settings("+experiment=[paper,released]")
    assert both == settings("+experiment=[released,paper]")
    assert (both.base_llm.name, both.base_llm.quantise, both.trainer.device) == (
        "llama3_2_1b",
        "auto",
        "cuda",
    )
    assert (both.budget.iterations, both.budget.initial.loss_on, both.rows_seed) == (5, "sequence", "entropy")
