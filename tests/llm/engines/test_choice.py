import logging

import pytest
import torch

from sprec.llm.engines import fast
from sprec.llm.engines.choice import EngineChoice, choose_engine, report_choice
from sprec.llm.engines.fast.packed_engine import PackedEngine


def choose(model, requested="auto"):
    return choose_engine(requested, model.base_model, cutoff_tokens=64)


class Halved(PackedEngine):
    """An engine that leaves out a scale of the logits."""

    def logits(self, hidden):
        return super().logits(hidden) / 2


class Refusing(PackedEngine):
    """An engine that does not know the model's layers."""

    def prefill(self, prompts):
        raise AttributeError("no such layer")


@pytest.mark.parametrize("rank", [0, 4])
def test_fast_engine_is_used_where_both_agree_and_adapters_come_back(make, rank):
    model = make(rank, engine="plain")
    before = {name: weight.clone() for name, weight in model.tuned_weights().items()}
    choice = choose(model)
    assert (choice.engine, choice.cached, choice.reason) == ("fast", True, "")
    assert choice.difference_nats < 1e-4
    assert all(torch.equal(before[name], weight) for name, weight in model.tuned_weights().items())


@pytest.mark.parametrize(
    ("engine", "reason"),
    [(Halved, "nats from the plain engine"), (Refusing, "AttributeError: no such layer")],
)
def test_auto_falls_back_with_a_reason_and_fast_stops(make, monkeypatch, engine, reason):
    monkeypatch.setattr(fast, "install", engine)
    model = make(4, engine="plain")
    choice = choose(model)
    assert choice.engine == "plain"
    assert reason in choice.reason
    with pytest.raises(ValueError, match=rf"engine=fast does not fit llama \(.*{reason}\); use engine=auto"):
        choose(model, "fast")


def test_plain_engine_is_used_where_asked_for(make):
    assert choose(make(4, engine="plain"), "plain") == EngineChoice("plain", True, None, "engine=plain")


def test_a_fallback_is_one_line(caplog):
    choice = EngineChoice("plain", True, 0.25, "0.25 nats from the plain engine")
    with caplog.at_level(logging.WARNING):
        report_choice(choice, "plain", "gemma2")
        report_choice(EngineChoice("fast", True, 1e-6, ""), "auto", "llama")
        assert not caplog.messages
        report_choice(choice, "auto", "gemma2")
    assert caplog.messages == [
        "engine=auto: gemma2 is computed by the plain engine (0.25 nats from the plain engine)"
    ]


def test_memory_that_is_full_at_the_moment_chooses_no_engine(make, monkeypatch):
    """A choice is stored: what another job's memory decides must not be."""

    def full(base_model):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fast, "install", full)
    with pytest.raises(torch.OutOfMemoryError):
        choose(make(4, engine="plain"))
