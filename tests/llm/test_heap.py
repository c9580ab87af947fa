import platform

import pytest
import torch

from sprec.bench.worker import resident_bytes
from sprec.llm import heap
from sprec.llm.batches import collate


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_between_what_is_held_is_handed_back():
    parts = [torch.ones(2**14) for _ in range(4000)]  # 64 KB each: too small for places of their own
    held = parts[1::2]
    del parts
    before = resident_bytes()
    assert heap.trim()
    assert before - resident_bytes() > 50e6
    assert len(held) == 2000


def test_c_library_without_it_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap, "_library", lambda: None)
    assert not heap.trim()


@pytest.mark.parametrize("gradients", [True, False])
def test_passes_with_gradients_alone_hand_memory_back(make, catalog, monkeypatch, gradients):
    model, calls = make(4), []
    monkeypatch.setattr(heap, "trim", lambda: calls.append(1))
    with torch.set_grad_enabled(gradients):
        model.log_probs(collate([model.encode(catalog.titles[:3], catalog.titles[4:5])]))
    assert len(calls) == gradients
