"""Every option composes, and a mistyped key fails before anything loads."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.data.prompts import ALPACA_TEMPLATES
from sprec.experiment.build import _build_method, _check_device_count, build_components
from sprec.experiment.config import validate_settings
from sprec.experiment.prepare import _numerics
from sprec.llm.precision import Precision
from sprec.negatives import Semantic
from sprec.run import CONF
from sprec.training.row_weights import GenreBalance

GROUP_NAMES = (
    *("dataset", "embeddings", "ranking", "budget", "trainer"),
    *("base_llm", "engine", "prompt", "decoding", "negatives", "objective", "method", "tracker"),
)
GROUPS = [f"{group}={path.stem}" for group in GROUP_NAMES for path in sorted((CONF / group).glob("*.yaml"))]
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
    return validate_settings(OmegaConf.to_container(config, resolve=True))


@pytest.mark.parametrize("option", GROUPS)
def test_every_option_composes_to_valid_settings(option):
    assert settings(option, *PATHS.get(option, [])).seed == 0


def test_a_base_llm_of_a_folder_names_the_key_that_is_missing():
    with pytest.raises(ValueError, match=r"reads a folder; name it with base_llm\.weights\.source=DIR"):
        build_components(settings("base_llm=folder"))


@pytest.mark.parametrize("path", sorted((CONF / "sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_value_of_every_sweep_composes(path):
    grid = OmegaConf.load(path).hydra.sweeper.params
    assert all(settings(f"{key}={value}") for key, values in grid.items() for value in values.split(","))


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
    with pytest.raises(ValueError, match=r"objective.*beta = -1 must be greater than 0"):
        settings("objective.beta=-1")
    with pytest.raises(ValueError, match=r"objective.*epsilon = 0.5 must be .* less than 0.5"):
        settings("method=rosepo", "objective.epsilon=0.5")
    with pytest.raises(ValueError, match=r"rows_seed.*'entropy' \(got 'chance'\)"):
        settings("rows_seed=chance")
    with pytest.raises(ValueError, match=r"negatives.*count = 0 must be 1 or more"):
        settings("negatives=random", "negatives.count=0")


def test_goal_of_a_search_must_be_scored():
    assert settings("goal=ndcg@1").goal == "ndcg@1"
    with pytest.raises(ValueError, match=r"goal = ndcg@3 is not scored; add its list length to cutoffs"):
        settings("goal=ndcg@3")
    with pytest.raises(ValueError, match=r"goal: .*got 'accuracy'"):
        settings("goal=accuracy")


def test_processes_that_tune_together_are_devices_times_nodes_and_take_a_device_each():
    assert settings().trainer.world_size == 1
    chosen = settings("trainer=ddp", "trainer.devices=4", "trainer.nodes=2")
    assert chosen.trainer.world_size == 8
    assert chosen.trainer.launch_command == ("srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1")
    with pytest.raises(ValueError, match=r"trainer\.device=cuda:1: .* use trainer\.device=cuda$"):
        _check_device_count(2, "cuda:1")


@pytest.mark.parametrize(
    ("option", "said"),
    [("base_llm.lora.rank=0", r"choose base_llm\.lora\.rank > 0$"), ("base_llm.quantise=nf4", "=none$")],
)
def test_weights_that_cannot_be_shared_out_are_refused(option, said):
    with pytest.raises(ValueError, match=said):
        build_components(settings("trainer=fsdp", "trainer.device=cpu", option))


@pytest.mark.parametrize(
    ("method", "objective", "sampler", "count"),
    [
        ("dpo", {"beta": 0.1}, "Random", 1),
        ("sdpo", {"beta": 1.0}, "Random", 3),
        ("dmpo", {"beta": 0.1, "scaled_by_count": False}, "Random", 3),
        ("rosepo", {"beta": 0.1, "epsilon": 0.1}, "Beams", 1),
        ("spin", {"beta": 0.1}, "SelfPlay", 1),
    ],
)
def test_peers_have_the_defaults_of_their_papers(method, objective, sampler, count):
    found = settings(f"method={method}")
    form = "dpo" if method == "spin" else method
    assert found.objective == {"_target_": f"sprec.training.objectives.{form}", **objective}
    assert found.negatives["_target_"] == f"sprec.negatives.{sampler}"
    assert (found.negatives["count"], found.method.with_sft) == (count, False)


def test_peers_tune_once_and_the_command_line_wins_over_all_of_it():
    assert settings("method=sdpo").budget.iterations == 1
    chosen = settings("method=sdpo", "budget.iterations=4", "negatives=popular", "negatives.count=2")
    assert (chosen.budget.iterations, chosen.budget.dpo.epochs) == (4, 3)
    assert (chosen.negatives["_target_"][-7:], chosen.negatives["count"]) == ("Popular", 2)


def test_d3_and_cft_rank_by_guided_beams_whatever_the_base_llm_prefers():
    for method in ("d3", "cft"):
        found = settings(f"method={method}", "base_llm=tiny")
        assert found.ranking["_target_"] == "sprec.baselines.guided_ranker.GuidedRanker"
        assert (found.ranking["width"], found.method.with_sft, found.method.with_dpo) == (10, False, False)
    assert settings("method=d3", "ranking=beam").ranking["_target_"].endswith("BeamRanker")
    assert settings("method=d3").method.counterfactual is None
    effect = _build_method(settings("method=cft")).counterfactual
    assert (effect.effect_weight, effect.last_token_weight) == (0.1, 0.25)


def test_guidance_out_of_range_is_named_with_its_key():
    with pytest.raises(ValueError, match=r"ranking.*alpha = 1.2 must be 0 to 1"):
        settings("method=d3", "ranking.alpha=1.2")
    with pytest.raises(ValueError, match=r"ranking.*width = 0 must be 1 or more"):
        settings("method=d3", "ranking.width=0")
    with pytest.raises(ValueError, match=r"effect_weight.*greater than or equal to 0"):
        settings("method=cft", "method.counterfactual.effect_weight=-1")


@pytest.mark.parametrize("option", [o for o in GROUPS if o.startswith("negatives=")])
@pytest.mark.parametrize("method", ["sprec", "sdpo"])
def test_every_strategy_goes_with_every_method_and_takes_a_count(option, method):
    built = _build_method(settings(f"method={method}", option, "negatives.count=4"))
    assert built.negatives.count == 4
    assert built.objective.func.__name__ == {"sprec": "dpo"}.get(method, method)


def test_sft_arm_iterates_nothing():
    assert _build_method(settings("method=sft", "budget.iterations=5")).iterations == 0
    assert _build_method(settings("method=without_dpo", "budget.iterations=5")).iterations == 5


def test_mixture_takes_another_strategy_with_its_share():
    added = ["+negatives@negatives.parts.popular=popular", "+negatives.shares.popular=2"]
    built = _build_method(settings("negatives=mixture", *added)).negatives
    assert set(built.parts) == {"self_play", "random", "popular"}
    assert built.shares == {"self_play": 0.5, "random": 0.5, "popular": 2}


@pytest.mark.parametrize("group", ["method", "negatives"])
def test_variant_files_hold_only_what_differs(group):
    for path in Path(CONF / group).glob("*.yaml"):
        assert len(path.read_text().splitlines()) <= 12, path.name


@pytest.mark.parametrize("path", sorted((CONF / "method").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_method_says_where_its_defaults_come_from(path):
    comment = " ".join(line for line in path.read_text().splitlines() if "#" in line)
    assert re.search(r"\(.*20\d\d|as its released code runs|own baseline", comment)


def test_released_experiment_sets_every_trap_by_its_own_switch():
    found = settings("+experiment=released")
    assert found.prompt["_target_"] == "sprec.data.prompts.released_templates"
    assert (found.budget.initial.loss_on, found.budget.sft.loss_on) == ("sequence", "sequence")
    assert (found.rows_seed, found.budget.initial.eval_every, found.method.keep_pairs_equal_to_target) == (
        "entropy",
        500,
        True,
    )
    assert (found.base_llm.quantise, found.trainer.inference_precision) == ("auto", "auto")
    assert (found.base_llm.lora.rank, found.base_llm.lora.dropout) == (16, 0.05)
    assert found.decoding["_target_"].endswith("Greedy")
    assert found.ranking["_target_"].endswith("GroundedRanker")


def test_each_switch_of_the_released_experiment_goes_back_alone():
    back = [
        "prompt=alpaca",
        "rows_seed=null",
        "budget.initial.eval_every=null",
        "method.keep_pairs_equal_to_target=false",
    ]
    back += ["base_llm.quantise=none", "trainer.inference_precision=same", "base_llm.lora.dropout=0.0"]
    back += ["budget.initial.loss_on=history", "budget.sft.loss_on=title", "trainer.warmup_from_zero=false"]
    assert settings("+experiment=released", *back) == settings()


def test_released_experiment_goes_with_the_papers_sizes_and_with_the_peers_as_released():
    assert settings("+experiment=[paper,released]").budget.iteration_rows == 2048
    assert settings("+experiment=[paper,released]").prompt["_target_"].endswith("released_templates")
    rw, dmpo, rosepo = (
        settings("+experiment=released", f"method={name}_released") for name in ("rw", "dmpo", "rosepo")
    )
    assert _build_method(rw).weighting == GenreBalance(True, True, True, True)
    assert rw.base_llm.lora.rank == 64
    for name in ("spin", "spin_released"):
        assert settings("+experiment=released", f"method={name}").decoding["_target_"].endswith("Sampled")
    assert _build_method(dmpo).objective.keywords == {"beta": 0.1, "scaled_by_count": True}
    assert _build_method(rosepo).negatives == Semantic(similar=False, to="history")
    assert _build_method(settings("method=rw")).weighting == GenreBalance()


def test_adapted_layers_may_be_a_list():
    assert settings("base_llm.lora.target_modules=[q_proj,v_proj]").base_llm.lora.target_modules == (
        *("q_proj", "v_proj"),
    )


def test_any_score_may_be_a_goal_and_no_other_word():
    assert settings("goal=mrr@5").goal == "mrr@5"
    with pytest.raises(ValueError, match=r"goal = accuracy@5 is no score; take one of hr, ndcg"):
        settings("goal=accuracy@5")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trainer=fsdp", "trainer.devices=1"], r"divides weights among processes; use trainer\.devices=2"),
        (["+dataset.path=/data"], "dataset toy reads no folder; leave dataset.path=/data out"),
    ],
)
def test_settings_without_effect_are_refused(words, line):
    with pytest.raises(ValueError, match=line):
        build_components(settings("dataset=toy", "base_llm=tiny", *words))


def test_seeds_are_numbers_that_a_record_can_hold():
    for key in ("seed", "rows_seed"):
        with pytest.raises(ValueError, match=f"{key}.*less than 9007199254740992"):
            settings(f"{key}=1764403200123456789")


def test_settings_of_adapters_are_in_no_key_where_there_are_none():
    numerics = [
        _numerics(
            SimpleNamespace(device="cpu", precision=Precision(bf16=False), layout=ALPACA_TEMPLATES), found
        )
        for found in (settings("base_llm=tiny"), settings("base_llm=tiny", "base_llm.lora.dropout=0.5"))
    ]
    assert numerics[0] == numerics[1]


def test_base_llms_of_the_hub_are_named_by_commit():
    for option in GROUPS:
        found = settings(option).base_llm.weights if option.startswith("base_llm=") else {}
        if "/" in found.get("source", ()):  # a wheel's source is a mapping
            assert re.fullmatch("[0-9a-f]{40}", found["revision"]), option


def test_adapters_on_random_weights_are_a_warning(caplog):
    build_components(settings("dataset=toy", "base_llm=tiny", "base_llm.lora.rank=4"))
    assert "the weights of tiny are random" in caplog.text
    caplog.clear()
    build_components(settings("dataset=toy", "base_llm=tiny"))
    assert caplog.text == ""
