import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from sprec.training.schedule import Schedule, rmsprop

HUGGING_FACE = {"linear": get_linear_schedule_with_warmup, "cosine": get_cosine_schedule_with_warmup}


def schedule(**settings):
    return Schedule(1, 8, 1.0, settings.pop("warmup_steps", 2), 1.0, 2048, **settings)


def factors(plan, steps):
    return [plan.rate_factor(step, steps) for step in range(steps)]


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("decay", HUGGING_FACE)
def test_warm_up_from_zero_is_hugging_face_s(decay, warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, expected = HUGGING_FACE[decay](optimizer, warmup, 20), []
    for _ in range(20):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert factors(schedule(decay=decay, warmup_steps=warmup, warmup_from_zero=True), 20) == pytest.approx(
        expected
    )


def test_warm_up_reaches_the_rate_at_its_last_step_and_decays_to_zero_after_the_last():
    assert factors(schedule(), 4) == [0.5, 1.0, 1.0, 0.5]
    assert factors(schedule(decay="cosine"), 4) == [0.5, 1.0, 1.0, pytest.approx(0.5)]


def test_without_warm_up_the_rate_decays_from_the_first_step():
    assert factors(schedule(warmup_steps=0), 4) == [1.0, 0.75, 0.5, 0.25]
    assert factors(schedule(warmup_steps=1), 4) == [1.0, 1.0, pytest.approx(2 / 3), pytest.approx(1 / 3)]


def test_a_share_of_warm_up_steps_is_rounded_up():
    """5 % of 40 steps are 2, of 41 they are 2.05."""
    rates = factors(schedule(warmup_share=0.05, warmup_steps=9, warmup_from_zero=True), 40)
    assert rates[:3] == [0.0, 0.5, 1.0]
    assert factors(schedule(warmup_share=0.05, warmup_from_zero=True), 41)[1] == pytest.approx(1 / 3)


def test_a_step_of_rmsprop_by_hand():
    """The first step divides the gradient by √(.01 g²): ten times the rate, whatever the slope."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = rmsprop([weight], 0.01)
    weight.grad = torch.tensor([1.0, -3.0])
    optimizer.step()
    torch.testing.assert_close(weight.data, torch.tensor([0.9, 1.1]), atol=1e-5, rtol=0)


def test_a_stage_s_key_names_what_is_in_use():
    assert "eval_every" not in schedule().describe()
    assert "warmup_share" not in schedule().describe()
    assert schedule(decay="cosine").describe()["decay"] == "cosine"
