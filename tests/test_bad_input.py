"""Words on the command line that do not go together get one line, before anything is trained."""

import sys
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from sprec import run
from sprec.experiment.build import _build_method, _check_title_count, _make_factory
from sprec.experiment.config import validate_settings
from sprec.experiment.config_errors import describe_config_error
from sprec.experiment.nodes import with_local_folder


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


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "seed=0,1",
            "seed=0,1: several values make a sweep; add -m as the last word, or put a list into [ ]",
        ),
        ("plan=true", "plan: write it with a plus, as +plan=…"),
        ("sweep=ablation", "sweep: write it with a plus, as +sweep=…"),
        ("+describe", "+describe: no value; write +describe=true"),
    ],
)
def test_words_that_hydra_takes_otherwise_get_the_remedy(word, line):
    with pytest.raises(HydraException) as caught:
        settings(word)
    assert describe_config_error(str(caught.value), lambda: ["seed"]) == line


def test_a_rule_over_several_settings_does_not_print_them_all():
    with pytest.raises(ValueError, match=r"^configuration: goal = ndcg@7 is not scored; add its list length"):
        settings("goal=ndcg@7")


def test_more_threads_than_a_process_can_start_are_refused():
    with pytest.raises(ValueError, match=r"trainer\.threads: .* less than or equal to 1024"):
        settings("trainer.threads=100000")


def test_data_that_cannot_be_described_name_their_key():
    node = settings("dataset=toy", "dataset.ratios=[1,1]").dataset
    with pytest.raises(ValueError, match=r"^dataset: .*ratios") as caught:
        run._make_dataset(with_local_folder(node))
    assert "\n" not in str(caught.value)
