import math

import pytest
import torch
from torch import Tensor

from benchmarks import ours
from benchmarks.ours import objective_for, sdpo, steps_over_negatives, steps_over_rows, take_in_turn
from benchmarks.setting import Setting, default_settings
from sprec.llm.token_rows import TokenRow


def test_sdpo_of_one_negative_is_dpo():
    policy, reference = torch.tensor([[-1.0, -4.0]]), torch.tensor([[-2.0, -3.0]])
    torch.testing.assert_close(sdpo(policy, reference, beta=0.1), objective_for(1)(policy, reference))


def test_sdpo_by_hand():
    # Δ_w = 0, Δ_l = log 1, log 3: −log σ(−log 4) = log 5
    policy = torch.tensor([[0.0, 0.0, math.log(3.0)]])
    assert float(sdpo(policy, torch.zeros(1, 3), beta=1.0)) == pytest.approx(math.log(5.0))


def test_steps_come_in_turn():
    step = take_in_turn([lambda: 1, lambda: 2])
    assert [step(), step()] == [1, 2]


@pytest.mark.parametrize(("growth", "sizes"), [(steps_over_rows, [1, 2, 2]), (steps_over_negatives, [1, 2])])
def test_steps_over_sizes_share_one_optimiser(monkeypatch, growth, sizes):
    """Each AdamW more would keep two more copies of the adapters."""
    made = []
    monkeypatch.setattr(
        ours, "adamw", lambda model: made.append(model) or ours.torch.optim.AdamW([Tensor(1)])
    )
    setting = Setting(default_settings(bf16=False, threads=1), rows=2)
    row = TokenRow((1, 2), ((3,), (4,), (5,)))
    vars(setting).update(model=None, encode_rows=lambda: [row, row])
    growth(setting, sizes)
    assert made == [None]
