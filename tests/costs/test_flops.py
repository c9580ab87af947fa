from dataclasses import replace

import pytest
import torch
import transformers

from sprec.costs.flops import ModelShape, PassSize, count_pass, forward_flops, training_flops
from sprec.llm.token_rows import TokenRow

SMALL = ModelShape(layers=2, hidden=4, inner=6, heads=2, groups=1, head_size=2, vocabulary=10, rank=1)


def test_weights_of_a_small_llama_by_hand():
    # per layer: q 4·4, k and v 4·2 each, o 4·4, gate and up 4·6 each, down 6·4
    assert SMALL.weights == 2 * (16 + 8 + 8 + 16 + 24 + 24 + 24)
    # r (a + b): 8 + 6 + 6 + 8 + 10 + 10 + 10
    assert SMALL.adapter_weights == 2 * 58


def test_reading_and_training_flops_by_hand():
    asked = PassSize(tokens=3, pairs=6, predicted=2)
    # the last layer's q, o, gate, up and down, 104 weights, at predicted tokens alone; of adapters 46
    linear, attention, head = 2 * (136 * 3 + 104 * 2), 4 * 2 * 4 * 6, 2 * 4 * 10 * 2
    assert forward_flops(SMALL, asked) == linear + attention + head
    # gradients: projections and output layer once more, attention twice, adapters forward and two gradients
    assert training_flops(SMALL, asked) == 2 * linear + 3 * attention + 2 * head + 3 * 2 * (70 * 3 + 46 * 2)


def test_without_adapters_every_weight_has_a_gradient_of_its_own():
    asked, full = PassSize(tokens=3, pairs=6, predicted=2), replace(SMALL, rank=0)
    linear, attention, head = 2 * (136 * 3 + 104 * 2), 4 * 2 * 4 * 6, 2 * 4 * 10 * 2
    assert training_flops(full, asked) == 3 * (linear + attention + head)
    assert (full.tuned, SMALL.tuned) == (240 + 40, 2 * 58)


def test_negatives_add_answers_and_no_prompt():
    one = count_pass([TokenRow((1, 2, 3), ((7, 8),)), TokenRow((1, 2, 4), ((7, 9),))])
    two = count_pass([TokenRow((1, 2, 3), ((7, 8), (5, 6))), TokenRow((1, 2, 4), ((7, 9), (5, 6)))])
    # the second answer of a row reads one token, which sees three prompt tokens and itself
    assert (two.tokens - one.tokens, two.pairs - one.pairs) == (2, 2 * 4)
    assert two.predicted == 2 * one.predicted


def test_weights_are_those_of_the_model_itself(make):
    model = make(4)
    names = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    base = sum(
        module.base_layer.weight.numel()
        for name, module in model.network.named_modules()
        if name.endswith(names)
    )
    shape = ModelShape.of(model.base_model.config, 4)
    assert shape.weights == base
    assert shape.adapter_weights == sum(torch.numel(value) for value in model.tuned_weights().values())


@pytest.mark.parametrize(
    "config",
    [
        transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2),
        transformers.GPTNeoXConfig(
            hidden_size=8, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
        ),
        transformers.OPTConfig(hidden_size=8, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2),
        transformers.BloomConfig(hidden_size=8, n_layer=2, n_head=2),
        transformers.FalconConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2),
    ],
    ids=lambda config: config.model_type,
)
def test_older_architectures_have_sizes_too(config):
    shape = ModelShape.of(config, 4)
    assert (shape.layers, shape.hidden, shape.inner, shape.heads, shape.groups) == (2, 8, 32, 2, 2)
