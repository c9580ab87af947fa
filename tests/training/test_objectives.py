import math

import pytest
import torch

from sprec.training.objectives import dpo, sft


def test_sft_is_the_negative_log_likelihood_of_the_chosen_answer():
    assert sft(torch.tensor([[-2.5], [-1.0]]), torch.zeros(2, 1)).tolist() == [2.5, 1.0]


def test_dpo_of_a_policy_equal_to_its_reference_is_log_two():
    scores = torch.tensor([[-3.0, -7.0]])
    assert dpo(scores, scores, beta=0.7).item() == pytest.approx(math.log(2))


def test_dpo_by_hand():
    policy, reference = torch.tensor([[-1.0, -5.0]]), torch.tensor([[-2.0, -4.0]])
    assert dpo(policy, reference, beta=0.1).item() == pytest.approx(math.log(1 + math.exp(-0.2)))


def test_dpo_with_rejected_equal_to_chosen_has_no_gradient():
    answer = torch.tensor([[-3.0]], requires_grad=True)
    dpo(answer.expand(1, 2), torch.tensor([[-2.0, -2.0]]), beta=0.1).sum().backward()
    assert answer.grad.item() == pytest.approx(0.0, abs=1e-7)
