import pytest
import torch

from sprec.llm.fusion import lacking
from sprec.llm.precision import resolve_precision


@pytest.mark.skipif(bool(lacking("cpu")), reason=f"torch.compile needs {lacking('cpu')}")
def test_compiled_pieces_have_the_scores_and_gradients_of_those_that_are_not(make, catalog):
    def results(*, fused):
        model = make(4, fused=fused)
        rows = [model.encode(catalog.titles[i : i + 3], catalog.titles[20 + i : 22 + i]) for i in range(4)]
        scores = model.log_probs(rows)
        scores.square().sum().backward()
        grads = {
            name: weight.grad for name, weight in model.network.named_parameters() if weight.requires_grad
        }
        return {"scores": scores.detach(), **grads}

    expected = results(fused=False)
    assert max(float(each.abs().max()) for each in expected.values()) > 1
    torch.testing.assert_close(results(fused=True), expected, atol=1e-4, rtol=1e-4)


def test_compiling_without_a_compiler_fails_in_one_line_that_names_it(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"compile=true needs a C\+\+ compiler \(no-such-compiler\)"):
        resolve_precision("bf16", "none", "same", device="cpu", rank=4, compiled=True)


def test_compiled_is_said_where_it_is_so():
    found = resolve_precision("float32", "none", "same", device="cpu", rank=4)
    assert (str(found), found.unusual) == ("float32", {})
