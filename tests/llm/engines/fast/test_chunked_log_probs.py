import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from sprec.llm.engines.fast.chunked_log_probs import token_log_probs


def plain(head, hidden, labels):
    return head(hidden).log_softmax(-1).gather(1, labels[:, None])[:, 0]


def chunked(head, hidden, labels, *, table):
    frozen = head.bias is None and not head.weight.requires_grad
    weight, vocabulary = head.weight if frozen else None, head.out_features
    return token_log_probs(head, weight, hidden, labels, vocabulary=vocabulary, table=table)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("table", [1, 30, 10_000])
def test_parts_give_the_values_and_gradients_of_the_whole_table(frozen, bias, table):
    torch.manual_seed(0)
    head = nn.Linear(6, 10, bias=bias).requires_grad_(not frozen)
    labels, weights = torch.arange(8), torch.randn(8)
    results = []
    for score in (plain, partial(chunked, table=table)):
        head.zero_grad()
        hidden = torch.randn(8, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
        log_probs = score(head, hidden, labels)
        (log_probs * weights).sum().backward()
        grads = [hidden.grad, *(w.grad.clone() for w in head.parameters() if w.grad is not None)]
        results.append((log_probs.detach(), *grads))
    assert len(results[0]) == len(results[1])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_no_more_logits_than_asked_for_exist_at_a_time(monkeypatch):
    sizes = []
    whole = torch.Tensor.log_softmax

    def watched(self, *args):
        sizes.append(self.numel())
        return whole(self, *args)

    monkeypatch.setattr(torch.Tensor, "log_softmax", watched)
    head = nn.Linear(4, 1000, bias=False).requires_grad_(False)
    chunked(head, torch.randn(50, 4), torch.zeros(50, dtype=torch.long), table=8000)
    assert max(sizes) == 8000
    assert sum(sizes) == 50_000


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system reports no peak memory")
def test_memory_of_a_vocabulary_of_128_thousand_words_is_bounded():
    """1,024 predicted tokens: their logits alone would be 525 MB, and as much for each step on them."""
    words, size, tokens = 128_256, 16, 1024
    code = f"""
import torch
from torch import nn
from sprec.llm.engines.fast.chunked_log_probs import token_log_probs
torch.set_num_threads(1)
head = nn.Linear({size}, {words}, bias=False).requires_grad_(False)
hidden = torch.randn({tokens}, {size}, requires_grad=True)
labels = torch.zeros({tokens}, dtype=torch.long)
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
token_log_probs(head, head.weight, hidden, labels, vocabulary={words}).sum().backward()
assert hidden.grad.abs().max() > 0
print(peak() - before)
"""
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(finished.stdout) < 450_000  # kB
