import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sprec.training.objectives import dmpo, dpo, rosepo, sdpo, sft

RELEASED = json.loads(Path(__file__).with_name("released_losses.json").read_text())["cases"]
FORMS = {
    "dpo": partial(dpo, beta=0.7),
    "sdpo": partial(sdpo, beta=0.7),
    "dmpo": partial(dmpo, beta=0.7),
    "dmpo as released": partial(dmpo, beta=0.7, scaled_by_count=True),
    "rosepo": partial(rosepo, beta=0.7, epsilon=0.2),
}


def scores(answers, rows=4, seed=0):
    values = torch.randn(2, rows, answers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.unbind()


def test_sft_is_the_negative_log_likelihood_of_the_chosen_answer():
    assert sft(torch.tensor([[-2.5], [-1.0]]), torch.zeros(2, 1)).tolist() == [2.5, 1.0]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_policy_equal_to_its_reference_scores_log_two_against_one_answer(form):
    same = torch.tensor([[-3.0, -7.0]])
    assert form(same, same).item() == pytest.approx(math.log(2))


def test_sdpo_of_a_policy_equal_to_its_reference_is_the_chance_among_all_answers():
    same = torch.tensor([[-3.0, -7.0, -1.0, -2.0]])
    assert sdpo(same, same, beta=0.7).item() == pytest.approx(math.log(4))


def test_dpo_by_hand():
    policy, reference = torch.tensor([[-1.0, -5.0]]), torch.tensor([[-2.0, -4.0]])
    assert dpo(policy, reference, beta=0.1).item() == pytest.approx(math.log(1 + math.exp(-0.2)))


def test_dpo_with_rejected_equal_to_chosen_has_no_gradient():
    answer = torch.tensor([[-3.0]], requires_grad=True)
    dpo(answer.expand(1, 2), torch.tensor([[-2.0, -2.0]]), beta=0.1).sum().backward()
    assert answer.grad.item() == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        # Δ = 1, -1, 2 and beta 1: margins 2 and -1
        (partial(dpo, beta=1.0), (math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2),
        (partial(sdpo, beta=1.0), math.log1p(math.exp(-2) + math.exp(1))),
        (partial(dmpo, beta=1.0), math.log1p(math.exp(-0.5))),
        (partial(dmpo, beta=1.0, scaled_by_count=True), math.log1p(math.exp(-1))),
        (partial(rosepo, beta=1.0, epsilon=0.25), 0.75 * 0.720095 + 0.25 * (0.720095 + 0.5)),
    ],
    ids=FORMS,
)
def test_two_rejected_answers_by_hand(form, expected):
    policy, reference = torch.tensor([[-1.0, -3.0, -4.0]]), torch.tensor([[-2.0, -2.0, -6.0]])
    assert form(policy, reference).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "form",
    [sdpo, dmpo, partial(dmpo, scaled_by_count=True), partial(rosepo, epsilon=0.0)],
    ids=["sdpo", "dmpo", "dmpo as released", "rosepo without smoothing"],
)
def test_each_is_dpo_against_one_answer(form):
    policy, reference = scores(2)
    torch.testing.assert_close(form(policy, reference, beta=0.3), dpo(policy, reference, beta=0.3))


def test_dpo_and_rosepo_average_the_losses_of_single_pairs():
    policy, reference = scores(4)
    for form in (FORMS["dpo"], FORMS["rosepo"]):
        single = [form(policy[:, [0, i]], reference[:, [0, i]]) for i in (1, 2, 3)]
        torch.testing.assert_close(form(policy, reference), torch.stack(single).mean(0))


def test_sdpo_is_the_cross_entropy_of_the_chosen_among_all_answers():
    policy, reference = scores(4)
    first = torch.zeros(len(policy), dtype=torch.long)
    expected = F.cross_entropy(0.3 * (policy - reference), first, reduction="none")
    torch.testing.assert_close(sdpo(policy, reference, beta=0.3), expected)


def test_dmpo_is_dpo_against_an_answer_of_the_mean_gain():
    policy, reference = scores(4)
    pair = [torch.stack([each[:, 0], each[:, 1:].mean(1)], 1) for each in (policy, reference)]
    torch.testing.assert_close(dmpo(policy, reference, beta=0.3), dpo(*pair, beta=0.3))


@pytest.mark.parametrize("case", RELEASED, ids=["k=1", "k=2", "k=3", "k=10"])
def test_losses_equal_those_of_the_released_functions(case):
    policy, reference = (torch.tensor(case[name], dtype=torch.float64) for name in ("policy", "reference"))
    ours = {"sdpo": sdpo, "dmpo": partial(dmpo, scaled_by_count=True)}
    for loss in case["losses"]:
        actual = ours[loss["name"]](policy, reference, beta=loss["beta"])
        assert actual.tolist() == pytest.approx(loss["released"], abs=1e-9)


def test_rosepo_is_the_cross_entropy_to_a_label_that_is_wrong_with_chance_epsilon():
    policy, reference = scores(2)
    delta = policy - reference
    chance = torch.sigmoid(0.3 * (delta[:, 0] - delta[:, 1]))
    expected = F.binary_cross_entropy(chance, torch.full_like(chance, 0.8), reduction="none")
    torch.testing.assert_close(rosepo(policy, reference, beta=0.3, epsilon=0.2), expected)


def test_rosepo_is_least_at_the_margin_of_its_label():
    margin = torch.tensor(math.log(0.9 / 0.1), requires_grad=True)
    rosepo(torch.stack([margin, margin * 0])[None], torch.zeros(1, 2), beta=1.0, epsilon=0.1).sum().backward()
    assert margin.grad.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("answers", [2, 4])
def test_gradients_equal_finite_differences(form, answers):
    policy, reference = scores(answers)
    assert torch.autograd.gradcheck(lambda each: form(each, reference), policy.requires_grad_())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_losses_stay_finite_where_log_probabilities_are_far_apart(form):
    policy = torch.tensor([[-900.0, -1.0, -2.0], [-1.0, -900.0, -800.0]], requires_grad=True)
    losses = form(policy, torch.zeros(2, 3))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert policy.grad.isfinite().all()


def test_sdpo_pushes_the_hardest_negative_hardest():
    policy = torch.tensor([[0.0, -1.0, 2.0]], requires_grad=True)
    sdpo(policy, torch.zeros(1, 3), beta=1.0).sum().backward()
    chosen, easy, hard = policy.grad[0].tolist()
    assert chosen < 0 < easy < hard
    assert hard / easy == pytest.approx(math.exp(3))
