import pytest
import torch
from torch import nn

from sprec.llm import adapters, packed
from sprec.llm.packed import Packed, gains

needs_units = pytest.mark.skipif(
    not gains(torch.zeros(1, dtype=torch.bfloat16)), reason="the processor has no bfloat16 units"
)


@needs_units
@pytest.mark.parametrize("bias", [False, True])
def test_packed_layer_has_the_outputs_of_the_layer(bias):
    torch.manual_seed(0)
    layer = nn.Linear(48, 80, bias=bias, dtype=torch.bfloat16)
    inputs = torch.randn(2, 7, 48, dtype=torch.bfloat16)
    torch.testing.assert_close(Packed(layer.weight, layer.bias)(inputs), layer(inputs), atol=1e-2, rtol=1e-2)


@needs_units
def test_merged_weights_are_packed_while_they_are_merged(make):
    model = make(4)
    model.model.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in model.model.named_parameters()}
    with adapters.merged(model.model):
        assert any(isinstance(module, Packed) for module in model.model.modules())
    assert not any(isinstance(module, Packed) for module in model.model.modules())
    assert all(torch.equal(before[name], weight) for name, weight in model.model.named_parameters())


def test_other_formats_are_not_packed(monkeypatch):
    monkeypatch.setattr(packed, "OPERATIONS", None)
    assert not gains(torch.zeros(1))
    assert not gains(torch.zeros(1, dtype=torch.bfloat16, device="meta"))
