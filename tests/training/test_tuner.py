import pytest
import torch

from sprec.runtime.seeds import stream
from sprec.training.objectives import sft
from sprec.training.tuner import Schedule, Tuner, tune

SCHEDULE = Schedule(
    epochs=1, batch_rows=2, learning_rate=1e-3, warmup_steps=1, clip_norm=1.0, batch_tokens=500
)
TRAINER = {"accelerator": "cpu", "devices": 1}


def tuned(model, catalog, objective, **options):
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9 : 9 + 1]) for i in range(4)]
    reference = torch.zeros(len(rows), 1)
    return tune(
        model,
        rows,
        reference,
        objective,
        SCHEDULE,
        rng=stream(0, "t"),
        torch_seed=0,
        trainer=TRAINER,
        **options,
    )


def test_a_loss_that_is_not_finite_stops_with_step_and_rows(make, catalog):
    def broken(policy, reference):
        return sft(policy, reference) * float("nan")

    with pytest.raises(FloatingPointError, match=r"loss is nan at step 1, rows \[\d, \d\]; lower"):
        tuned(make(4), catalog, broken)


def test_rows_of_weight_zero_teach_nothing(make, catalog):
    model = make(4)
    before = {name: value.clone() for name, value in model.tuned().items()}
    tuned(model, catalog, sft, weights=torch.zeros(4))
    assert all(torch.equal(before[name], value) for name, value in model.tuned().items())


def test_loss_falls(make, catalog):
    curve = tuned(make(0), catalog, sft)
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_the_model_stays_on_its_device_when_lightning_sends_it_away():
    module = object()
    assert Tuner.cpu(module) is module
