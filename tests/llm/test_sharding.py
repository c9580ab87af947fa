"""What a process of two holds of a model whose frozen weights are shared out."""

import pytest
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from sprec.llm.adapters import Lora
from sprec.llm.language_model import LanguageModel


@pytest.fixture
def two_processes():
    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    dist.destroy_process_group()


def test_a_process_holds_half_of_the_layers_and_all_that_is_tuned(make, two_processes):
    whole = make(rank=4)
    folder = whole.tokenizer.name_or_path
    options = {"bf16": False, "device": "cpu", "cutoff_tokens": 512, "seed": 0, "sharded": True}
    part = LanguageModel(folder, whole.prompt, lora=Lora(4, 8, 0.0), **options)
    held = {
        name: weight.to_local()
        for name, weight in part.network.named_parameters()
        if isinstance(weight, DTensor)
    }
    layers = {
        name: weight
        for name, weight in whole.base_model.model.layers.named_parameters()
        if not weight.requires_grad
    }
    assert len(held) == len(layers) > 0
    assert 2 * sum(map(len, held.values())) == sum(map(len, layers.values()))
    assert {name: value.tolist() for name, value in part.tuned_weights().items()} == {
        name: value.tolist() for name, value in whole.tuned_weights().items()
    }
