"""What stages compute from what they are given: first losses worked out from plain log-probabilities."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Greedy
from sprec.generation.grounding import CharacterNgrams
from sprec.llm.token_rows import with_loss_on
from sprec.negatives import Random, SelfPlay
from sprec.seeds import derive_seed, stream
from sprec.store.store import Store
from sprec.training import trainer as trainer_module
from sprec.training.context import ModelState, StageContext
from sprec.training.counterfactual import Counterfactual
from sprec.training.objectives import dpo, sdpo
from sprec.training.policy_training import CURVE, count_predicted_tokens
from sprec.training.row_sampling import RowSampling, encode_rows, with_targets
from sprec.training.row_weights import GenreBalance, ItemGenres
from sprec.training.schedule import Schedule
from sprec.training.stages import PAIRS, Stages

BASE = ModelState("base", None)
ONE_STEP = Schedule(1, 8, 1e-3, 0, 1.0, 4096, loss_per="token")
BY_ROW = replace(ONE_STEP, loss_per="row")


@pytest.fixture
def stages(make, tmp_path):
    """Return a maker of stages on 8 toy rows with a tiny model, all of whose weights are tuned."""

    def build(seed=0, rows=8, place="store"):
        data = toy_dataset().sampled(None, 4, 6, lambda name: stream(1, name))
        model = make()
        options = {"accelerator": "cpu", "devices": 1}
        context = StageContext(data, lambda: model, CharacterNgrams(8), seed, 2048, {"seed": seed}, options)
        return Stages(context, Store(tmp_path / place), RowSampling(rows, rows), on_result=lambda *_: None)

    return build


def first_step(state):
    return pl.read_parquet(state.folder / CURVE).row(0, named=True)


def encoded(stages, iteration=0, loss_on="title"):
    model, data = stages.context.model, stages.context.dataset
    pairs = with_targets(stages.rows(iteration))
    return encode_rows(model, data.catalog, pairs, step="sft", loss_on=loss_on)


def losses(stages, rows, policy=BASE):
    """Return each row's negative log-likelihood under a policy, and the tokens that it predicts."""
    model = stages.context.model.load(policy.folder)
    model.network.eval()
    with torch.no_grad():
        nll = -model.log_probs(rows)[:, 0].double().numpy()
    return nll, np.array([len(row.answers[0]) for row in rows])


def test_sft_starts_from_the_policy_it_is_given(stages):
    made = stages()
    tuned = made.sft(BASE, 0, replace(ONE_STEP, learning_rate=1e-2))
    after = made.sft(tuned, 1, ONE_STEP)
    nll, tokens = losses(made, encoded(made, 1), tuned)
    from_base, _ = losses(made, encoded(made, 1))
    assert first_step(after)["loss"] == pytest.approx(nll.sum() / tokens.sum(), rel=1e-4)
    assert from_base.sum() != pytest.approx(nll.sum(), rel=1e-2)


@pytest.mark.parametrize(
    ("loss_on", "loss_per"), [("title", "token"), ("title", "row"), ("history", "token"), ("sequence", "row")]
)
def test_sft_s_loss_is_on_what_the_schedule_says(stages, loss_on, loss_per):
    made = stages()
    state = made.sft(BASE, 0, replace(ONE_STEP, loss_on=loss_on, loss_per=loss_per))
    nll, tokens = losses(made, encoded(made, loss_on=loss_on))
    divisor = tokens.sum() if loss_per == "token" else len(tokens)
    assert first_step(state)["loss"] == pytest.approx(nll.sum() / divisor, rel=1e-4)
    titles = [len(row.answers[0]) for row in with_loss_on(encoded(made), "title")]
    assert bool(tokens.sum() > sum(titles)) is (loss_on != "title")


def test_weighted_sft_weighs_the_rows_in_their_order(stages):
    made = stages()
    state = made.sft(BASE, 0, ONE_STEP, GenreBalance())
    data = made.context.dataset
    weights = GenreBalance()(
        list(made.rows(0)), list(data.split.train), ItemGenres(data.catalog.genres, data.genres)
    )
    nll, tokens = losses(made, encoded(made))
    assert np.ptp(weights) > 0.1
    assert first_step(state)["loss"] == pytest.approx((weights * nll).sum() / tokens.sum(), rel=1e-4)


def test_cft_s_loss_holds_the_effect_of_the_history(stages):
    made, cft = stages(), Counterfactual(0.1, 0.25)
    state = made.sft(BASE, 0, ONE_STEP, counterfactual=cft)
    model, catalog = made.context.model.load(None), made.context.dataset.catalog
    rows = encoded(made)
    bare = encode_rows(
        model, catalog, [((), [row.target]) for row in made.rows(0)], step="sft", loss_on="title"
    )
    model.network.eval()
    with torch.no_grad():
        score = float(cft.scorer(model, rows, bare)(range(8)).sum())
    omega = float(count_predicted_tokens(rows, cft, bare).sum())
    assert first_step(state)["loss"] == pytest.approx(-score / omega, rel=1e-4)


def test_cft_counts_a_title_by_its_weights_and_what_stands_before_it_by_tokens(stages):
    rows = encoded(stages(), loss_on="history")[:1]
    bare = encoded(stages())[:1]
    before, title = len(rows[0].answers[0]) - len(bare[0].answers[0]), len(bare[0].answers[0])
    # ω falls linearly from 1 to .25, so a title of n tokens counts n (1 + .25) / 2.
    assert count_predicted_tokens(rows, Counterfactual(0.1, 0.25), bare).tolist() == pytest.approx(
        [before + title * 0.625]
    )


@pytest.mark.parametrize(("objective", "count"), [(dpo, 1), (sdpo, 3)])
def test_preference_tuning_starts_at_its_reference_the_policy(stages, objective, count):
    made = stages()
    policy = made.sft(BASE, 0, replace(ONE_STEP, learning_rate=1e-2))
    pairs = made.negatives(policy, 1, Random(count), Greedy())
    first = first_step(made.dpo(policy, pairs, 1, BY_ROW, partial(objective, beta=0.1)))
    # Policy and reference are one model: every margin is 0, so the loss is log(1 + rejected titles).
    assert first["loss"] == pytest.approx(math.log(1 + count), rel=1e-4)
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    frame = pl.read_parquet(pairs.folder / PAIRS)
    model, catalog = made.context.model, made.context.dataset.catalog
    rows = encode_rows(
        model, catalog, list(frame.select("history", "answers").iter_rows()), step="dpo", loss_on="title"
    )
    nll, _ = losses(made, rows, policy)
    assert first["logps/chosen"] == pytest.approx(-nll.mean(), rel=1e-4)


def test_sft_has_dropout_and_preference_tuning_has_none(stages, monkeypatch):
    made, rates, own = stages(), {}, trainer_module.fine_tune
    noise = nn.Dropout(0.5)
    made.context.model.network.register_module("noise", noise)

    def watched(*rest, **options):
        rates[options["label"]] = noise.p
        return own(*rest, **options)

    monkeypatch.setattr(trainer_module, "fine_tune", watched)
    made.sft(BASE, 1, ONE_STEP)
    pairs = made.negatives(BASE, 1, Random(), Greedy())
    made.dpo(BASE, pairs, 1, BY_ROW, partial(dpo, beta=0.1))
    made.sft(BASE, 2, ONE_STEP)
    assert rates == {"sft 1": 0.5, "dpo 1": 0.0, "sft 2": 0.5}


def test_samplers_ask_the_policy_they_are_given(stages):
    made = stages()
    policy = made.sft(BASE, 0, replace(ONE_STEP, learning_rate=1e-2))
    tuned = {name: weight.clone() for name, weight in made.context.model.tuned_weights().items()}
    made.context.model.load(None)
    asked = made.context.sampler_context(policy, Greedy(), SelfPlay()).model.tuned_weights()
    assert all(torch.equal(asked[name], weight) for name, weight in tuned.items())


def test_weights_are_chosen_on_validation_rows(stages, monkeypatch):
    made, seen = stages(), []

    def watched(model, rows, *rest, own=trainer_module.validation_loss, **more):
        seen.append([row.answers[0] for row in rows])
        return own(model, rows, *rest, **more)

    monkeypatch.setattr(trainer_module, "validation_loss", watched)
    made.sft(BASE, 0, replace(ONE_STEP, batch_rows=4, eval_every=1))
    model, data = made.context.model, made.context.dataset
    expected = encode_rows(model, data.catalog, with_targets(data.split.valid), step="sft", loss_on="title")
    assert len(expected) == 4
    assert len(seen) == 2
    assert all(answers == [row.answers[0] for row in expected] for answers in seen)


def test_counterfactual_sft_is_validated_by_the_score_that_it_maximises(stages, monkeypatch):
    made, seen = stages(), []

    def watched(model, rows, *, own=trainer_module.validation_loss, **how):
        seen.append(own(model, rows, **how))
        pairs = list(zip(rows, without, strict=True))
        with torch.no_grad():
            score = sum(float(counterfactual(model, [pair])) for pair in pairs)
        # ω falls linearly from 1 to .25 over a title's tokens, so its mean is .625
        tokens = sum(len(row.answers[0]) - 0.375 * len(title.answers[0]) for row, title in pairs)
        assert seen[-1] == pytest.approx(-score / tokens, rel=1e-5)
        return seen[-1]

    counterfactual, data = Counterfactual(0.5, 0.25), made.context.dataset
    blank = [((), answers) for _, answers in with_targets(data.split.valid)]
    without = encode_rows(made.context.model, data.catalog, blank, step="sft", loss_on="title")
    monkeypatch.setattr(trainer_module, "validation_loss", watched)
    made.sft(BASE, 0, replace(ONE_STEP, batch_rows=4, eval_every=1), counterfactual=counterfactual)
    assert len(seen) == 2


def test_each_stage_draws_from_the_stream_of_its_seed_and_label(stages, monkeypatch):
    given = []

    def watched(*rest, own=trainer_module.fine_tune, **options):
        order = stream(made.context.seed, options["label"], "order")
        given.append(options["rng"].bit_generator.state == order.bit_generator.state)
        given.append(options["torch_seed"] == derive_seed(made.context.seed, options["label"], "dropout"))
        return own(*rest, **options)

    monkeypatch.setattr(trainer_module, "fine_tune", watched)
    rows = []
    for seed in (0, 1):
        made = stages(seed, place=f"seed{seed}")
        made.sft(BASE, 1, ONE_STEP)
        pairs = made.negatives(BASE, 1, Random(), Greedy())
        histories = pl.read_parquet(pairs.folder / PAIRS)["history"].to_list()
        assert histories == [list(row.history) for row in made.rows(1)]
        rows.append(histories)
    assert rows[0] != rows[1]
    assert given == [True] * 4
