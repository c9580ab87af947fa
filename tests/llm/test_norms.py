import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from sprec.llm.norms import quicken


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norm_has_the_values_and_gradients_of_the_models_own(dtype):
    torch.manual_seed(0)
    norm = LlamaRMSNorm(12, eps=1e-5).to(dtype).requires_grad_(False)
    norm.weight.copy_(torch.randn(12))
    inputs, slope = torch.randn(3, 5, 12).to(dtype), torch.randn(3, 5, 12).to(dtype)

    def results():
        own = inputs.clone().requires_grad_()
        found = norm(own)
        found.backward(slope)
        return found.detach(), own.grad

    expected = results()
    quicken(norm)
    assert "forward" in vars(norm)
    allowed = 1e-5 if dtype is torch.float32 else 2e-2
    for got, wanted in zip(results(), expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=allowed, rtol=allowed)


def test_norm_that_is_tuned_keeps_its_forward():
    norm = LlamaRMSNorm(4)
    quicken(norm)
    assert "forward" not in vars(norm)
