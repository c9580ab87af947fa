from copy import deepcopy

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from sprec.llm.engines.fast import attention
from sprec.llm.fusion import eager
from sprec.llm.rotary import _Turn, quicken, shortened


def test_turn_has_the_values_and_gradients_of_the_models_own():
    torch.manual_seed(0)
    states, slope = torch.randn(2, 5, 3, 8), torch.randn(2, 5, 3, 8)
    angles = torch.rand(2, 5, 4).repeat(1, 1, 2)
    cos, sin = angles.cos(), angles.sin()

    def results(turn):
        own = states.clone().requires_grad_()
        found = turn(own)
        found.backward(slope)
        return found.detach(), own.grad

    expected = results(lambda own: apply_rotary_pos_emb(own, own, cos, sin, unsqueeze_dim=2)[0])
    got = results(lambda own: _Turn.apply(own, cos[:, :, None], sin[:, :, None], eager))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6)


@pytest.fixture
def models():
    """The same small Llama twice, the second with our layers."""
    attention.register()
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    torch.manual_seed(0)
    plain = LlamaModel(config)
    quick = LlamaModel(deepcopy(config))
    quick.load_state_dict(plain.state_dict())
    quick.config._attn_implementation = attention.NAME
    quicken(quick)
    return plain, quick


def test_last_layer_returns_the_tokens_that_predict_and_caches_all(models):
    plain, quick = models
    tokens, predicting = torch.arange(12)[None] % 7, torch.tensor([3, 11, 3])
    cache = DynamicCache()
    expected = plain(tokens).last_hidden_state[:, predicting]
    got = quick(tokens, past_key_values=cache, use_cache=True, predicting=predicting).last_hidden_state
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    assert [layer.keys.shape[2] for layer in cache.layers] == [12, 12]


def test_gradients_of_the_tokens_that_predict_reach_every_weight(models):
    predicting = torch.tensor([3, 11, 3])
    grads = []
    for model, found in zip(
        models,
        [
            models[0](torch.arange(12)[None]).last_hidden_state[:, predicting],
            models[1](torch.arange(12)[None], predicting=predicting).last_hidden_state,
        ],
        strict=True,
    ):
        found.square().sum().backward()
        grads.append({name: weight.grad for name, weight in model.named_parameters()})
    torch.testing.assert_close(grads[1], grads[0], atol=1e-4, rtol=1e-4)


def test_all_tokens_come_back_where_none_is_asked_for(models):
    plain, quick = models
    tokens = torch.arange(9)[None]
    torch.testing.assert_close(
        quick(tokens).last_hidden_state, plain(tokens).last_hidden_state, atol=1e-5, rtol=1e-5
    )


def test_layers_of_other_kinds_are_left_as_they_are():
    assert not shortened(torch.nn.Linear(2, 2))
