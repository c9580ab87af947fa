import numpy as np
import torch

from sprec.baselines.gru4rec import gru4rec


def test_states_follow_the_gru_equations():
    model = gru4rec(9, rng=np.random.default_rng(0), length=3, width=4, hidden=5).eval()
    embedded = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1))
    state = torch.zeros(5)
    gru = model.gru
    for item, found in zip(embedded[0], model.states(embedded)[0], strict=True):
        reset, update, new = (gru.weight_ih_l0 @ item + gru.bias_ih_l0).chunk(3)
        old_reset, old_update, old_new = (gru.weight_hh_l0 @ state + gru.bias_hh_l0).chunk(3)
        gate = torch.sigmoid(update + old_update)
        candidate = torch.tanh(new + torch.sigmoid(reset + old_reset) * old_new)
        state = (1 - gate) * candidate + gate * state
        assert torch.allclose(model.output(state), found, atol=1e-5)


def test_layers_stack():
    model = gru4rec(9, rng=np.random.default_rng(0), layers=2, dropout=0.1)
    assert model.gru.num_layers == 2
    assert model(torch.tensor([[1, 2]])).shape == (1, 2, 9)
