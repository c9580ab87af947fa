from contextlib import nullcontext

import numpy as np
import pytest
import torch

from sprec.generation.decoding import Greedy, write_titles
from sprec.llm.adapters import ALL_LINEAR, AdaptedWeights, Lora, add_adapters


@pytest.fixture
def tuned(make):
    """A model whose adapters change what it says."""
    model = make(4)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.tuned_weights().values():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def rows_of(model, catalog, answers=2):
    return [
        model.encode(catalog.titles[i : i + 2 + i % 3], catalog.titles[20 + i : 20 + i + answers])
        for i in range(4)
    ]


def test_merged_log_probs_are_those_of_the_adapters_and_the_base_comes_back(tuned, catalog):
    batch = rows_of(tuned, catalog)
    before = {name: value.clone() for name, value in tuned.network.state_dict().items()}
    with torch.no_grad():
        apart = tuned.log_probs(batch)
        with tuned.merged_adapters():
            together = tuned.log_probs(batch)
        with tuned.network.disable_adapter():
            without = tuned.log_probs(batch)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
    assert (without - apart).abs().max() > 0.01
    after = tuned.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_titles_of_merged_weights_are_those_of_the_adapters(tuned, catalog, monkeypatch):
    prompts = [row.prompt for row in rows_of(tuned, catalog)]

    def titles():
        return write_titles(
            tuned, prompts, Greedy(), np.random.default_rng(0), max_tokens=6, batch_tokens=300
        )

    merged = titles()
    monkeypatch.setattr(tuned, "merged_adapters", nullcontext)
    assert titles() == merged


def test_adapters_still_learn_after_titles_were_written(tuned, catalog):
    write_titles(tuned, [rows_of(tuned, catalog)[0].prompt], Greedy(), None, max_tokens=2, batch_tokens=300)
    tuned.log_probs(rows_of(tuned, catalog)).sum().backward()
    assert all(w.grad is not None for w in tuned.network.parameters() if w.requires_grad)


def test_all_linear_layers_but_the_output_layer_are_adapted(make):
    model = make(4)
    adapted = AdaptedWeights.of(model.base_model)
    projections = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert adapted.adapted_modules == dict.fromkeys(projections, 2)
    inside, embeddings, norms = 2 * (4 * 32 * 32 + 3 * 32 * 128), 32 * len(model.tokenizer), 5 * 32
    assert adapted.adapted_share == pytest.approx(inside / (inside + embeddings + norms))
    assert AdaptedWeights.of(make(0).base_model) == AdaptedWeights({}, 0.0)


def test_chosen_layers_alone_are_adapted_and_unknown_ones_are_one_line(make):
    adapted = AdaptedWeights.of(add_adapters(make(0).base_model, Lora(2, 4, 0.0, ("q_proj",))))
    assert adapted.adapted_modules == {"q_proj": 2}
    with pytest.raises(ValueError, match=rf"no layer is called c_attn in LlamaForCausalLM; use {ALL_LINEAR}"):
        add_adapters(make(0).base_model, Lora(2, 4, 0.0, ("q_proj", "c_attn")))
