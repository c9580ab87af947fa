from contextlib import nullcontext

import numpy as np
import pytest
import torch
from transformers import (
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from sprec.generation import decoding
from sprec.generation.decoding import Greedy, write_titles
from sprec.llm.adapters import (
    ALL_LINEAR,
    AdaptedWeights,
    Lora,
    add_adapters,
    merged_adapters,
    without_dropout,
)


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
        with merged_adapters(tuned.network):
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
    monkeypatch.setattr(decoding, "merged_adapters", nullcontext)
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


def llama(**options):
    """Return a Llama of random weights; adapters on its output layer move what it says by a lot."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(vocab_size=50, initializer_range=0.3, **sizes, **options)).eval()


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_adapter_on_tied_embeddings_is_one_line(target):
    """Merged into the one tensor of both, it would change the other layer too."""
    line = r"embed_tokens and lm_head of LlamaForCausalLM share their weights.*; name other layers or use all"
    with pytest.raises(ValueError, match=line) as error:
        add_adapters(llama(tie_word_embeddings=True), Lora(2, 4, 0.0, ("q_proj", target)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("targets", "tied"),
    [
        (ALL_LINEAR, True),
        (("q_proj", "down_proj"), True),
        (("q_proj", "lm_head"), False),
        (ALL_LINEAR, False),
    ],
)
def test_allowed_targets_compute_the_same_merged_and_apart(targets, tied):
    model = add_adapters(llama(tie_word_embeddings=tied), Lora(2, 4, 0.0, targets)).eval()
    torch.manual_seed(1)
    tokens = torch.tensor([[3, 7, 1, 9]])
    with torch.no_grad():
        before = model(tokens).logits
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
        apart = model(tokens).logits
        with merged_adapters(model):
            together = model(tokens).logits
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    assert (apart - before).abs().max() > 1


RATES = {"dropout": 0.5, "attention_dropout": 0.4}
HEADS = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
DROPPING = {
    "opt": lambda: OPTForCausalLM(
        OPTConfig(**HEADS, **RATES, ffn_dim=32, word_embed_proj_dim=16, max_position_embeddings=16)
    ),
    "falcon": lambda: FalconForCausalLM(FalconConfig(**HEADS, hidden_dropout=0.5, attention_dropout=0.4)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2)),
}


@pytest.mark.parametrize("kind", DROPPING)
def test_without_dropout_two_passes_in_training_agree_and_rates_come_back(kind):
    """OPT and Falcon call `F.dropout` with a rate of their own, which no layer of dropout shows."""
    model = add_adapters(DROPPING[kind](), Lora(2, 4, 0.3)).train()
    tokens = torch.tensor([[3, 7, 1, 9]])
    config = model.config.to_dict()
    with without_dropout(model):
        one, other = model(tokens).logits, model(tokens).logits
    assert torch.equal(one, other)
    assert not torch.equal(model(tokens).logits, model(tokens).logits)
    assert model.config.to_dict() == config
    rates = {layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)}
    assert rates >= {0.3}
