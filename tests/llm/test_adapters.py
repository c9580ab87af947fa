import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear

from sprec.generation.decoding import Greedy, write_titles
from sprec.llm.adapters import quicken


@pytest.fixture
def tuned(make):
    """A recommender whose adapters change what it says."""
    model = make(4)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.tuned_weights().values():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def rows_of(model, catalog, answers=2):
    return [
        model.encode(catalog.titles[i : i + 2 + i % 3], catalog.titles[20 + i : 20 + i + answers])
        for i in range(4)
    ]


class Projections(torch.nn.Module):
    """Two layers that read the same tensor, one that reads another."""

    def __init__(self, *, detached=False):
        super().__init__()
        self.gate_proj, self.up_proj = (torch.nn.Linear(6, size, bias=False) for size in (5, 5))
        self.down_proj = torch.nn.Linear(5, 6, bias=False)
        self.detached = detached

    def forward(self, inputs):
        other = inputs + 0 if self.detached else inputs
        return self.down_proj(self.gate_proj(inputs).sigmoid() * self.up_proj(other))


@pytest.mark.parametrize("detached", [False, True], ids=["same tensor", "equal tensor"])
def test_quick_forward_has_the_values_and_gradients_of_pefts_own(detached):
    torch.manual_seed(0)
    names = ["gate_proj", "up_proj", "down_proj"]
    settings = LoraConfig(r=3, lora_alpha=6, target_modules=names, init_lora_weights=False)
    model = get_peft_model(Projections(detached=detached), settings)
    inputs = torch.randn(2, 7, 6)

    def results():
        model.zero_grad()
        own = inputs.clone().requires_grad_()
        found = model(own)
        found.square().sum().backward()
        return [found.detach(), own.grad, *(w.grad.clone() for w in model.parameters() if w.requires_grad)]

    expected = results()
    with model.disable_adapter():
        without = model(inputs)
    assert quicken(model)
    assert all("forward" in vars(each) for each in model.modules() if isinstance(each, Linear))
    for _ in range(2):
        for got, wanted in zip(results(), expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    with model.disable_adapter():
        torch.testing.assert_close(model(inputs), without)


def test_adapters_with_dropout_keep_pefts_forward():
    base = torch.nn.Sequential(torch.nn.Linear(6, 5, bias=False))
    model = get_peft_model(base, LoraConfig(r=3, target_modules=["0"], lora_dropout=0.5))
    assert not quicken(model)
    assert not any("forward" in vars(each) for each in model.modules() if isinstance(each, Linear))


def test_merged_log_probs_are_those_of_the_adapters_and_the_base_comes_back(tuned, catalog):
    batch = rows_of(tuned, catalog)
    before = {name: value.clone() for name, value in tuned.model.state_dict().items()}
    with torch.no_grad():
        apart = tuned.log_probs(batch)
        with tuned.merged_adapters():
            together = tuned.log_probs(batch)
        with tuned.model.disable_adapter():
            without = tuned.log_probs(batch)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
    assert (without - apart).abs().max() > 0.01
    after = tuned.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_titles_of_merged_weights_are_those_of_the_adapters(tuned, catalog, monkeypatch):
    prompts = [row.prompt for row in rows_of(tuned, catalog)]

    def titles():
        return write_titles(
            tuned, prompts, Greedy(), np.random.default_rng(0), max_tokens=6, batch_tokens=300
        )

    merged = titles()
    monkeypatch.setattr("sprec.llm.adapters._replace", lambda *_: None)
    monkeypatch.setattr("sprec.llm.adapters._layers", lambda _: {})
    assert titles() == merged


def test_adapters_still_learn_after_titles_were_written(tuned, catalog):
    write_titles(tuned, [rows_of(tuned, catalog)[0].prompt], Greedy(), None, max_tokens=2, batch_tokens=300)
    tuned.log_probs(rows_of(tuned, catalog)).sum().backward()
    assert all(w.grad is not None for w in tuned.network.parameters() if w.requires_grad)
