"""What `+plan=true` prints, and that its estimates grow with what is asked."""

import json
from dataclasses import asdict, replace

import pytest
import torch
import transformers
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

from sprec.costs.cost_estimator import CostEstimator, CostModel
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed
from sprec.costs.pass_costs import training_pass
from sprec.data.prompts import Prompt
from sprec.experiment import plan
from sprec.experiment.build import build_components
from sprec.experiment.config import validate_settings
from sprec.experiment.plan import show_plan, update_speed_profile
from sprec.experiment.prepare import (
    build_context,
    build_row_sampling,
    load_or_build_dataset,
    store_base_model,
)
from sprec.llm.chat_template import apply_chat_template
from sprec.llm.tokenization import PromptTokenizer
from sprec.run import CONF
from sprec.training.context import TestSetup

SPEED = MachineSpeed(1e11, 1e10, 1e-6, 4)
SMALL = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.threads=1", "budget.sft_rows=64"]
SMALL += ["budget.iteration_rows=16", "budget.test_rows=4", "budget.iterations=1"]


@pytest.fixture(autouse=True)
def untouched(sprec_home):
    """Leave torch as it was found."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


def prepared(*overrides):
    """Return settings, what they build_components, the engine and the untuned model."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [*SMALL, *overrides]), resolve=True)
    settings = validate_settings(config)
    components = build_components(settings)
    return settings, components, *build_context(components, settings, load_or_build_dataset(components))


def tokens_and_shape(settings, components, shared):
    llm, folder = settings.base_llm, store_base_model(components, shared.dataset)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = PromptTokenizer(tokenizer, Prompt(shared.dataset.wording), cutoff_tokens=llm.cutoff_tokens)
    return tokens, ModelShape.of(transformers.AutoConfig.from_pretrained(folder), llm.lora.rank)


def priced(*overrides, speed=SPEED, devices=1, k=5, **more):
    """Return the cost of each stage by its label, on a machine of a given speed."""
    settings, components, shared, base = prepared(*overrides)
    gauge = CostModel(*tokens_and_shape(settings, components, shared), speed, devices, **more)
    stages = CostEstimator(shared, components.store, build_row_sampling(settings), model=gauge)
    list(components.method.train_and_rank(stages, base, TestSetup(components.ranker, "test", k)))
    return {each.label: each.cost for each in stages.planned}


def printed(*overrides):
    settings, components, shared, base = prepared(*overrides)
    console = Console(record=True, width=60)
    show_plan(components, settings, shared, base, TestSetup(components.ranker, "test", 5), console)
    return console.export_text().splitlines()


def test_rows_without_a_model_are_those_that_the_model_reads():
    settings, components, shared, _ = prepared()
    titles = shared.dataset.catalog.titles
    tokens, _ = tokens_and_shape(settings, components, shared)
    assert tokens.encode(titles[:3], titles[3:5]) == shared.model.encode(titles[:3], titles[3:5])


def test_a_prompt_over_the_cutoff_is_counted_without_its_oldest_titles():
    settings, components, shared, _ = prepared("base_llm.cutoff_tokens=20")
    tokens, _ = tokens_and_shape(settings, components, shared)
    titles = shared.dataset.catalog.titles
    assert tokens.encode(titles[:5], ["x"]) == tokens.encode(titles[4:5], ["x"])


def test_sft_costs_the_passes_that_training_will_take():
    settings, components, shared, _ = prepared()
    gauge = CostModel(*tokens_and_shape(settings, components, shared), SPEED)
    stages = CostEstimator(shared, components.store, build_row_sampling(settings), model=gauge)
    schedule = replace(components.method.sft, batch_rows=8, batch_tokens=10**6, epochs=3)
    rows = stages.rows(1)
    titles = shared.dataset.catalog.titles
    encoded = [shared.model.encode([titles[i] for i in row.history], [titles[row.target]]) for row in rows]
    expected = [training_pass(gauge.shape, encoded[at : at + 8], SPEED) for at in (0, 8)]
    assert stages._training(gauge, rows, schedule, negatives=0).flops == 3 * sum(c.flops for c in expected)


def test_costs_follow_rows_negatives_and_what_is_learned():
    usual = priced()
    first = ["initial sft", "titles initial_sft", "evaluate initial_sft"]
    steps = ["sft 1", "negatives 1", "dpo 1"]
    assert list(usual) == [*first, *steps, "titles iteration_1", "evaluate iteration_1"]
    double = priced("budget.iteration_rows=32")
    assert double["dpo 1"].flops == pytest.approx(2 * usual["dpo 1"].flops, rel=0.1)
    assert double["initial sft"].flops == usual["initial sft"].flops
    three = priced("method=sdpo", "negatives=random", "negatives.count=3", "budget.dpo.epochs=1")
    assert 1 < three["dpo 1"].flops / usual["dpo 1"].flops < 2  # the prompt is read once for all answers
    assert three["negatives 1"].flops == 0


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("low_exposure", "self_play"),
        ("ches", "self_play"),
        ("self_play", "mixture"),
        ("mixture", "semantic_similar"),
        ("grounded", "popular"),
    ],
)
def test_negatives_cost_what_their_strategy_asks_of_the_model(more, less):
    dear, cheap = (priced(f"negatives={name}")["negatives 1"].flops for name in (more, less))
    assert dear > cheap


def test_a_search_for_lists_longer_than_its_width_costs_as_much_as_a_wider_one():
    label = "evaluate initial_sft"
    longer = priced("ranking=beam", "ranking.width=4", k=8)[label]
    assert longer.flops == priced("ranking=beam", "ranking.width=8", k=8)[label].flops
    assert longer.flops > priced("ranking=beam", "ranking.width=4", k=4)[label].flops


def test_a_judged_initial_sft_costs_its_readings_of_the_validation_rows():
    # 64 rows in steps of 16 are four steps: judged after the second and the fourth.
    few = [f"budget.initial.{setting}" for setting in ("batch_rows=16", "epochs=1")]
    plain, twice, always, never = (
        priced(*few, "budget.valid_rows=8", f"budget.initial.eval_every={every}")["initial sft"].flops
        for every in ("null", 2, 1, 4)
    )
    assert always - plain == pytest.approx(2 * (twice - plain))
    assert twice > plain == never


def test_an_engine_that_reads_answers_apart_pays_each_with_a_prompt_and_checkpointing_a_pass():
    more = "negatives=random", "negatives.count=3"
    costs = {name: priced(*more, **{name: True}) for name in ("checkpointing", "answers_apart")}
    usual = priced(*more)
    assert costs["answers_apart"]["initial sft"].flops == usual["initial sft"].flops
    assert costs["answers_apart"]["dpo 1"].flops > 2 * usual["dpo 1"].flops
    assert 1.2 < costs["checkpointing"]["initial sft"].flops / usual["initial sft"].flops < 1.5


def test_more_rows_than_the_sample_cost_in_proportion(monkeypatch):
    whole = priced("budget.sft_rows=512")["initial sft"].flops
    monkeypatch.setattr("sprec.costs.cost_estimator.SAMPLE_ROWS", 128)
    assert priced("budget.sft_rows=512")["initial sft"].flops == pytest.approx(whole, rel=0.05)


def test_every_stage_has_a_line_and_sums_stand_below():
    lines = printed()
    assert [line.split()[:2] for line in lines[:8]] == [["to", "run"]] * 8
    assert all("FLOP" in line and " s " in line for line in lines[:8])
    assert lines[8].split()[:5] == ["all", "that", "is", "to", "run"]
    assert lines[10].startswith("measured with 1 threads: products ")


def test_a_recommender_without_an_llm_has_no_estimate():
    (line,) = printed("method=most_popular")
    assert "FLOP" not in line


def test_base_llm_that_cannot_be_had_leaves_the_plan_without_estimates(caplog):
    lines = printed("+plan=true", "base_llm=llama3_2_1b", "base_llm.weights.source=/nowhere/at/all")
    assert len(lines) == 8
    assert not any("FLOP" in line for line in lines)
    assert "no estimates: base LLM '/nowhere/at/all' cannot be loaded" in caplog.text


def test_profile_keeps_the_best_of_each_number_and_survives_damage(tmp_path, caplog):
    file, slow = tmp_path / "new" / "speed.json", MachineSpeed(1e10, 2e10, 1e-6, 4)
    assert update_speed_profile(file, "here", slow) == slow
    assert update_speed_profile(file, "here", SPEED) == MachineSpeed(1e11, 2e10, 1e-6, 4)
    assert update_speed_profile(file, "there", slow) == slow
    assert set(json.loads(file.read_text())) == {"here", "there"}
    file.write_text("{broken")
    assert update_speed_profile(file, "here", slow) == slow
    assert json.loads(file.read_text()) == {"here": asdict(slow)}
    (tmp_path / "file").write_text("")
    assert update_speed_profile(tmp_path / "file" / "speed.json", "here", slow) == slow
    assert "is not written" in caplog.text


def test_times_are_named_as_people_would():
    assert [plan.format_seconds(each) for each in (3.21, 100, 90_000)] == ["3.2 s", "1.7 min", "25.0 h"]


def test_devices_share_tuning_and_nothing_else():
    alone = replace(SPEED, devices=1)
    one, four = (priced(speed=alone, devices=devices) for devices in (1, 4))
    assert four["initial sft"].seconds < 0.6 * one["initial sft"].seconds
    assert four["titles iteration_1"].seconds == pytest.approx(one["titles iteration_1"].seconds, rel=0.2)


def test_what_makes_prompts_is_part_of_the_keys():
    """The experiment's own functions are not followed, so that all of it has to be named."""
    _, _, shared, _ = prepared()
    assert apply_chat_template in shared.model_code
