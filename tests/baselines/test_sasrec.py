import numpy as np
import pytest
import torch

from sprec.baselines.sasrec import Block, sasrec


def test_attention_is_the_causal_softmax_of_scaled_products():
    torch.manual_seed(0)
    block = Block(6, heads=2, dropout=0.0)
    states = torch.randn(1, 4, 6)
    query, key, value = block.query_key_value(states)[0].chunk(3, dim=-1)
    expected = torch.zeros(4, 6)
    for part in (slice(0, 3), slice(3, 6)):
        for place in range(4):
            weight = (query[place, part] @ key[: place + 1, part].T / 3**0.5).softmax(-1)
            expected[place, part] = weight @ value[: place + 1, part]
    assert torch.allclose(block.attend(states)[0], expected, atol=1e-5)


def test_order_matters_to_one_block_through_positions_alone():
    model = sasrec(20, rng=np.random.default_rng(0), length=3, blocks=1).eval()
    swapped = torch.tensor([[1, 2, 3], [2, 1, 3]])
    with torch.no_grad():
        assert not torch.allclose(model(swapped)[0, -1], model(swapped)[1, -1], atol=1e-4)
        model.position.zero_()
        assert torch.allclose(model(swapped)[0, -1], model(swapped)[1, -1], atol=1e-5)


def test_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="width 10 is not a multiple of 4 heads"):
        sasrec(20, rng=np.random.default_rng(0), width=10, heads=4)
