"""Dropout acts in training steps, from the stage's seed, and nowhere else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from sprec.data.prompts import Prompt
from sprec.data.readers.toy import toy_dataset
from sprec.llm.adapters import Lora
from sprec.llm.base_models import TinyLlama
from sprec.llm.language_model import LanguageModel
from sprec.seeds import stream
from sprec.training import distributed
from sprec.training.log_probs import compute_log_probs, validation_loss
from sprec.training.objectives import sft
from sprec.training.schedule import Schedule
from sprec.training.trainer import fine_tune
from sprec.training.training_rows import TrainingRows

SCHEDULE = Schedule(
    epochs=1, batch_rows=2, learning_rate=1e-3, warmup_steps=1, clip_norm=1.0, batch_tokens=500
)
TRAINER = {"accelerator": "cpu", "devices": 1}


@pytest.fixture(scope="module")
def prompt(catalog):
    return Prompt(toy_dataset().wording, titles=catalog.titles)


@pytest.fixture(scope="module")
def folder(prompt, catalog, tmp_path_factory):
    place = tmp_path_factory.mktemp("tiny")
    texts = [prompt.text(())] * 10 + list(catalog.titles)
    TinyLlama("tiny", hidden=32, layers=1, heads=4, vocabulary=600).write(place, texts)
    return place


@pytest.fixture(params=["fast", "plain"])
def build(folder, prompt, request):
    """Build a model whose adapters have dropout and say something: new ones add 0 with or without it."""

    def model():
        lora = Lora(rank=4, alpha=8, dropout=0.5)
        settings = {"bf16": False, "device": "cpu", "cutoff_tokens": 512, "seed": 0, "engine": request.param}
        made = LanguageModel(folder, prompt, lora=lora, **settings)
        generator = torch.Generator().manual_seed(0)
        made.set_tuned_weights(
            {
                name: 0.1 * torch.randn(weight.shape, generator=generator)
                for name, weight in made.tuned_weights().items()
                if "lora_B" in name
            }
        )
        return made

    return model


def rows_of(model, catalog):
    return [model.encode(catalog.titles[i : i + 2], catalog.titles[9 + i : 10 + i]) for i in range(4)]


def tuned(model, rows, *, objective=sft, schedule=SCHEDULE, seed=0):
    data = TrainingRows(rows, torch.zeros(len(rows), 1), validation=rows[:2])
    options = {"rng": stream(0, "t"), "torch_seed": seed, "label": "sft 1", "trainer": TRAINER}
    return fine_tune(model, data, objective, schedule, **options)


def modes(model):
    return {module.training for module in model.network.modules()}


def test_the_seed_and_nothing_before_it_decides_what_is_dropped(build, catalog):
    losses = []
    for seed in (0, 1, 0):
        model = build()
        torch.rand(3)  # as if something else had drawn random numbers
        losses.append([step["loss"] for step in tuned(model, rows_of(model, catalog), seed=seed)])
    assert losses[0] == losses[2]
    assert losses[0][0] != losses[1][0]


def test_each_process_of_a_group_drops_other_weights_from_the_same_seed(build, catalog, monkeypatch):
    losses = {}
    for rank, seed in ((0, 1), (1, 0), (0, 0)):
        process = SimpleNamespace(**{**vars(distributed), "rank": lambda rank=rank: rank})
        monkeypatch.setattr("sprec.training.trainer.distributed", process)
        model = build()
        losses[rank, seed] = [step["loss"] for step in tuned(model, rows_of(model, catalog), seed=seed)]
    assert losses[1, 0] == losses[0, 1]
    assert losses[1, 0] != losses[0, 0]


def test_every_step_trains_in_training_mode_whatever_ran_before(build, catalog):
    model, seen = build(), []

    def noting(policy, reference):
        seen.append(modes(model))
        return sft(policy, reference)

    rows = rows_of(model, catalog)
    compute_log_probs(model, rows, batch_tokens=500)
    assert modes(model) == {False}
    for schedule in (SCHEDULE, replace(SCHEDULE, epochs=2, eval_every=1)):
        tuned(model, rows, objective=noting, schedule=schedule)
    assert len(seen) >= 2 + 4
    assert seen == [{True}] * len(seen)


def test_training_passes_have_dropout_and_validation_between_them_has_none(build, catalog, monkeypatch):
    model, passes = build(), []
    log_probs = model.log_probs

    def noted(rows):
        passes.append((torch.is_grad_enabled(), *modes(model)))
        return log_probs(rows)

    monkeypatch.setattr(model, "log_probs", noted)
    schedule = replace(SCHEDULE, epochs=2, eval_every=1, batch_tokens=10_000)  # one pass a step
    tuned(model, rows_of(model, catalog), schedule=schedule)
    assert passes == [(True, True), (False, False)] * 4


def test_reference_and_validation_are_without_dropout_to_the_last_bit(build, catalog):
    model = build()
    rows = rows_of(model, catalog)
    references, losses = [], []
    for _ in range(2):
        model.network.train()
        references.append(compute_log_probs(model, rows, batch_tokens=500))
        model.network.train()
        losses.append(validation_loss(model, rows, batch_tokens=500))
    assert torch.equal(*references)
    assert losses[0] == losses[1]
    model.network.train()
    with torch.no_grad():
        assert not torch.allclose(model.log_probs(rows), references[0], atol=1e-3)
