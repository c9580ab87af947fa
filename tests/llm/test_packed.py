import pytest
import torch
from torch import nn

from sprec.llm import adapters, packed
from sprec.llm.engines.fast.chunked_log_probs import token_log_probs
from sprec.llm.packed import Packed, gains

needs_float32 = pytest.mark.skipif(
    not gains(torch.zeros(1)), reason="the layout does not help this processor"
)
formats = [
    pytest.param(torch.float32, 1e-5, marks=needs_float32),
    pytest.param(
        torch.bfloat16,
        1e-2,
        marks=pytest.mark.skipif(
            not gains(torch.zeros(1, dtype=torch.bfloat16)), reason="the processor has no bfloat16 units"
        ),
    ),
]


@pytest.mark.parametrize(("dtype", "bound"), formats)
@pytest.mark.parametrize("bias", [False, True])
def test_packed_layer_has_the_outputs_of_the_layer(bias, dtype, bound):
    torch.manual_seed(0)
    layer = nn.Linear(48, 80, bias=bias, dtype=dtype)
    inputs = torch.randn(2, 7, 48, dtype=dtype)
    torch.testing.assert_close(
        Packed(layer.weight, layer.bias)(inputs), layer(inputs), atol=bound, rtol=bound
    )


@pytest.mark.parametrize(("dtype", "bound"), formats)
def test_merged_weights_are_packed_while_they_are_merged(make, dtype, bound):
    model = make(4)
    model.network.to(dtype)
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    with adapters.merged(model.network):
        assert any(isinstance(module, Packed) for module in model.network.modules())
    assert not any(isinstance(module, Packed) for module in model.network.modules())
    assert all(torch.equal(before[name], weight) for name, weight in model.network.named_parameters())


@needs_float32
def test_output_layer_is_packed_with_the_same_scores_and_comes_back(make, catalog):
    model = make(4)
    layer = model.base_model.lm_head
    batch = [model.encode(catalog.titles[i : i + 3], catalog.titles[20:22]) for i in range(3)]
    with torch.no_grad():
        expected = model.log_probs(batch)
        with model.merged_adapters():
            assert isinstance(model.base_model.lm_head, Packed)
            torch.testing.assert_close(model.log_probs(batch), expected, atol=1e-4, rtol=0)
    assert model.base_model.lm_head is layer


@needs_float32
def test_packed_output_layer_scores_some_tokens_at_a_time():
    torch.manual_seed(0)
    layer = nn.Linear(6, 11)
    hidden, labels = torch.randn(7, 6), torch.randint(11, (7,))
    quick = Packed(layer.weight, layer.bias)
    quick.weight = layer.weight
    expected = layer(hidden).log_softmax(-1).gather(1, labels[:, None])[:, 0]
    with torch.no_grad():
        torch.testing.assert_close(token_log_probs(quick, hidden, labels, table=22), expected)


def test_what_does_not_gain_stays_as_it_is(monkeypatch, make):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert not gains(torch.zeros(1))
    model = make(4)
    with model.merged_adapters():
        assert not any(isinstance(module, Packed) for module in model.network.modules())
    monkeypatch.setattr(packed, "OPERATIONS", None)
    assert not gains(torch.zeros(1, dtype=torch.bfloat16))
    assert not gains(torch.zeros(1, dtype=torch.bfloat16, device="meta"))
