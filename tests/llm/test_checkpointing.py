import pytest
import torch


def gradients(model, rows):
    """Return the gradient by the adapters, and the bytes that a pass saves for it."""
    saved = []
    model.network.train()
    model.network.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.nbytes) or tensor, lambda tensor: tensor
    ):
        scores = model.log_probs(rows)
    scores.square().sum().backward()
    return [weight.grad.clone() for weight in model.network.parameters() if weight.requires_grad], sum(saved)


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_gradients_are_those_of_stored_activations_and_fewer_are_stored(make, catalog, engine):
    rows = [make(4).encode(catalog.titles[i : i + 3], catalog.titles[20 + i : 22 + i]) for i in range(4)]
    plain, frugal = make(4, layers=6, engine=engine), make(4, layers=6, engine=engine)
    with torch.no_grad():
        for model in (plain, frugal):
            torch.manual_seed(0)
            for weight in model.tuned_weights().values():
                weight.add_(0.05 * torch.randn_like(weight))
    frugal.engine.checkpoint_activations()
    expected, much = gradients(plain, rows)
    got, little = gradients(frugal, rows)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    assert max(float(each.abs().max()) for each in got) > 0
    assert 3 * little < much
