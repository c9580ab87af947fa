import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from sprec.llm.adapters import quicken as quicken_adapters
from sprec.llm.gates import quicken


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("plain", [[], ["down_proj"]], ids=["all adapted", "down_proj is not"])
def test_gated_layer_has_the_bits_of_the_models_own_and_keeps_less(dtype, dropout, plain):
    torch.manual_seed(0)
    names = {"gate_proj", "up_proj", "down_proj"} - set(plain)
    lora = LoraConfig(r=2, target_modules=sorted(names), init_lora_weights=False, lora_dropout=dropout)
    layer = LlamaMLP(LlamaConfig(hidden_size=32, intermediate_size=256))
    model = get_peft_model(torch.nn.ModuleDict({"mlp": layer}), lora).to(dtype)
    quicken_adapters(model)
    inputs, slope = torch.randn(3, 50, 32).to(dtype), torch.randn(3, 50, 32).to(dtype)

    def results():
        model.zero_grad()
        torch.manual_seed(1)
        own, kept = inputs.clone().requires_grad_(), {}
        pack = lambda each: kept.setdefault(each.untyped_storage().data_ptr(), each) is None or each  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda each: each):
            found = layer(own)
        found.backward(slope)
        grads = [weight.grad.clone() for weight in model.parameters() if weight.requires_grad]
        return [found.detach(), own.grad, *grads], sum(
            each.untyped_storage().nbytes() for each in kept.values()
        )

    expected, much = results()
    quicken(model)
    got, little = results()
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
    assert little < much


def test_layer_with_another_activation_keeps_its_forward():
    layer = LlamaMLP(LlamaConfig(hidden_size=32, intermediate_size=64, hidden_act="gelu"))
    quicken(layer)
    assert "forward" not in vars(layer)
