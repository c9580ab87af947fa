import pytest
import torch

from sprec.llm.engines.fast import block_attention
from sprec.llm.engines.fast.block_attention import attend


def plain(query, key, value, bias):
    heads = query.shape[1] // key.shape[1]
    keys, values = (each.repeat_interleave(heads, dim=1) for each in (key, value))
    return ((query @ keys.transpose(2, 3) + bias).softmax(-1) @ values).transpose(1, 2)


def hidden(batch, width, keys):
    later = ~torch.ones(width, keys, dtype=torch.bool).tril(keys - width)
    bias = torch.zeros(batch, 1, width, keys).masked_fill(later, -1e4)
    bias[:, :, :, 1] = -1e4 * (torch.arange(batch) % 2)[:, None, None]  # a key that every second row has not
    return bias


@pytest.mark.parametrize(
    ("width", "keys"), [(1, 1 + 2), (5, 5), (7, 16), (8, 16), (13, 16), (9, 11), (40, 43)]
)
@pytest.mark.parametrize(("batch", "rows"), [(1, 2), (2, 2), (5, 2), (5, 1), (5, 4)])
def test_blocks_have_the_values_and_gradients_of_one_piece(monkeypatch, batch, rows, width, keys):
    monkeypatch.setattr(block_attention, "KEYS", 8)
    monkeypatch.setattr(block_attention, "ROW_BYTES", 4 * rows)
    torch.manual_seed(0)
    bias = hidden(batch, width, keys)
    sizes = [(batch, width, 6, 4), (batch, keys, 3, 4), (batch, keys, 3, 4)]
    leaves = [torch.randn(size, requires_grad=True) for size in sizes]
    states = [leaf.transpose(1, 2) for leaf in leaves]  # in memory heads stand behind tokens
    slope = torch.randn(batch, width, 6, 4)

    attended, expected = attend(*states, bias), plain(*states, bias)
    torch.testing.assert_close(attended, expected, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(each, leaves, slope, retain_graph=True) for each in (attended, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-5)


def test_keys_past_a_block_are_not_read(monkeypatch):
    monkeypatch.setattr(block_attention, "KEYS", 8)
    torch.manual_seed(0)
    query, key = torch.randn(1, 2, 16, 4), torch.randn(1, 2, 16, 4)
    key[:, :, 8:] = torch.nan
    attended = attend(query, key, key, hidden(1, 16, 16))
    assert attended[0, :8].isfinite().all()
    assert attended[0, 8:].isnan().all()


def test_without_gradients_no_weights_are_saved():
    query = torch.randn(2, 2, 4, 4)
    held = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda saved: held.append(saved.shape) or saved, lambda saved: saved
    ):
        attend(query, query, query, hidden(2, 4, 4))
        assert not held
        attend(query.requires_grad_(), query, query, hidden(2, 4, 4))
    assert torch.Size([4, 4, 4]) in held
