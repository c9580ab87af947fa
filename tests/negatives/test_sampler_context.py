"""SamplerContext and hidden states of a real, tiny model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sprec.data.examples import Example
from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Sampled
from sprec.generation.grounding import CharacterNgrams
from sprec.negatives import Ches, Exposure, GroundedSelfPlay, SamplerContext, SelfPlay
from sprec.negatives.hidden_states import ches_scores, mean_hidden_states

ROWS = [Example((0, 1, 2), 3), Example((4, 5), 6), Example((7, 8, 9, 10), 11)]


@pytest.fixture
def context(make):
    data = toy_dataset()
    return SamplerContext(data.catalog, data.popularity, data.genres, CharacterNgrams(), Sampled(), make, 400)


def slow_mean(model, row, answer):
    text = torch.tensor([[*row.prompt, *answer]])
    hidden = model.base_model.model(text).last_hidden_state[0]
    return hidden[len(row.prompt) - 1 : len(row.prompt) - 1 + len(answer)].mean(0).detach().numpy()


def test_mean_hidden_states_equal_those_of_separate_sequences(make, catalog):
    model = make()
    rows = [model.encode(catalog.titles[i : i + 2 + i], catalog.titles[20 + i : 23 + i]) for i in range(3)]
    actual = mean_hidden_states(model, rows, batch_tokens=200)
    expected = [[slow_mean(model, row, answer) for answer in row.answers] for row in rows]
    np.testing.assert_allclose(actual, np.array(expected), atol=1e-5)


def test_hidden_states_are_those_under_the_prompt_of_preference_tuning(make, context, monkeypatch):
    model, steps = make(), []
    encode = model.encode
    monkeypatch.setattr(
        model, "encode", lambda *titles, step="inference": steps.append(step) or encode(*titles, step=step)
    )
    replace(context, load=lambda: model).mean_hidden_states(ROWS[:1], [[3]])
    assert steps == ["dpo"]


def test_ches_of_the_target_itself_is_zero(make, catalog):
    model = make()
    row = model.encode(catalog.titles[:3], [catalog.titles[5]] * 2)
    assert ches_scores(mean_hidden_states(model, [row], batch_tokens=500)).item() == pytest.approx(
        0.0, abs=1e-4
    )


def test_ches_draws_do_not_depend_on_how_rows_are_batched(context, make):
    other = SamplerContext(**{**context.__dict__, "batch_tokens": 10_000})
    few, many = (
        Ches(count=2, candidates=5)(ROWS, each, np.random.default_rng(0)) for each in (context, other)
    )
    assert few == many


def test_exposure_titles_are_beams_of_the_model_by_training_counts(context):
    actual = context.best_items(ROWS, k=10)
    low = Exposure("low", count=3)(ROWS, context, np.random.default_rng(0))
    for row, items, titles in zip(ROWS, actual.tolist(), low, strict=True):
        ids = [context.catalog.ids[title] for title in titles]
        rest = set(items) - {*ids, *row.history, row.target}
        counts = [int(context.popularity[i]) for i in ids]
        assert set(ids) <= set(items)
        assert counts == sorted(counts)
        assert all(context.popularity[i] >= counts[-1] for i in rest)


def test_several_sampled_titles_per_row_differ_and_the_first_row_has_its_own(context):
    written = context.write_titles(ROWS, np.random.default_rng(0), count=4)
    assert [len(titles) for titles in written] == [4, 4, 4]
    assert len({title for titles in written for title in titles}) > 4
    played = SelfPlay(count=4)(ROWS, context, np.random.default_rng(0))
    assert [set(titles) for titles in played] == [set(titles) - {""} for titles in written]


def test_grounded_titles_are_in_the_catalogue(context):
    titles = GroundedSelfPlay(count=2)(ROWS, context, np.random.default_rng(0))
    assert all(title in context.catalog.ids for row in titles for title in row)


def test_model_and_embedder_rest_until_they_are_asked(make):
    loads = []
    data = toy_dataset()

    def load():
        loads.append(1)
        return make()

    context = SamplerContext(
        data.catalog, data.popularity, data.genres, CharacterNgrams(), Sampled(), load, 400
    )
    assert not loads
    assert "vectors" not in context.__dict__
    context.best_items(ROWS, k=2)
    context.write_titles(ROWS, np.random.default_rng(0))
    assert loads == [1]
