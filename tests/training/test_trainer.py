import os
import signal
from dataclasses import replace

import pytest
import torch

from sprec.processes.signals import EndedBySignalError, raise_on_signal
from sprec.seeds import stream
from sprec.training.log_probs import validation_loss
from sprec.training.objectives import sft
from sprec.training.schedule import Schedule, adamw
from sprec.training.trainer import FineTuningModule, TrainingRows, fine_tune, preallocate_gradients

SCHEDULE = Schedule(
    epochs=1, batch_rows=2, learning_rate=1e-3, warmup_steps=1, clip_norm=1.0, batch_tokens=500
)
TRAINER = {"accelerator": "cpu", "devices": 1}


def tuned(model, catalog, objective, schedule=SCHEDULE, **options):
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9 : 9 + 1]) for i in range(4)]
    data = TrainingRows(rows, torch.zeros(len(rows), 1), **options)
    return fine_tune(model, data, objective, schedule, rng=stream(0, "t"), torch_seed=0, trainer=TRAINER)


def test_a_loss_that_is_not_finite_stops_with_step_and_rows(make, catalog):
    def broken(policy, reference):
        return sft(policy, reference) * float("nan")

    with pytest.raises(FloatingPointError, match=r"loss is nan at step 1, rows \[\d, \d\]; lower"):
        tuned(make(4), catalog, broken)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def ending(request):
    """A signal that this process does not ignore, as processes in the background ignore Ctrl-C."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_in_a_step_ends_the_fit_at_once_and_leaves_the_handlers_as_they_were(make, catalog, ending):
    def told_to_end(policy, reference):
        os.kill(os.getpid(), ending)
        raise AssertionError("the step went on")

    before = signal.getsignal(ending)
    with pytest.raises(EndedBySignalError, match=rf"^ended by {ending.name}$"), raise_on_signal():
        tuned(make(4), catalog, told_to_end)
    assert signal.getsignal(ending) is before


def test_rows_of_weight_zero_teach_nothing(make, catalog):
    model = make(4)
    before = {name: value.clone() for name, value in model.tuned_weights().items()}
    tuned(model, catalog, sft, weights=torch.zeros(4))
    assert all(torch.equal(before[name], value) for name, value in model.tuned_weights().items())


def trained(model):
    return [weight for weight in model.network.parameters() if weight.requires_grad]


def test_gradients_lie_side_by_side_and_passes_add_to_them(make, catalog):
    model, other = make(4), make(4)
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9:10]) for i in range(4)]
    preallocate_gradients(trained(model))
    for _ in range(2):
        for each in (model, other):
            each.log_probs(rows).sum().backward()
    assert len({weight.grad.untyped_storage().data_ptr() for weight in trained(model)}) == 1
    assert any(weight.grad.any() for weight in trained(other))
    for got, wanted in zip(trained(model), trained(other), strict=True):
        assert torch.equal(got.grad, wanted.grad)


def test_tuning_leaves_gradients_where_they_are(make, catalog):
    model = make(4)
    tuned(model, catalog, sft, replace(SCHEDULE, epochs=3))
    assert len({weight.grad.untyped_storage().data_ptr() for weight in trained(model)}) == 1


def test_two_steps_of_adamw_by_hand():
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    optimiser = adamw(preallocate_gradients([weight]), 0.1)
    for slope in ([1.0, -3.0], [0.0, 0.0]):
        weight.grad.copy_(torch.tensor(slope))
        optimiser.step()
    # The first step is the rate, whatever the slope; then (.09 / .19) / √(.000999 / .001999) = .67006 of it.
    torch.testing.assert_close(weight.data, torch.tensor([1 - 0.167006, 1 + 0.167006]), atol=1e-6, rtol=0)


def test_loss_falls(make, catalog):
    curve = tuned(make(0), catalog, sft)
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_weights_of_a_batch_scale_the_mean_loss_of_its_rows(make, catalog):
    """One step of four rows: row weights pick rows, batch weights only their mean, here 1/4."""
    whole = replace(SCHEDULE, batch_rows=4)
    weights = torch.tensor([1.0, 0.0, 0.0, 0.0])
    plain = tuned(make(0), catalog, sft, whole)[0]["loss"]
    scaled = tuned(make(0), catalog, sft, whole, weights=weights, batch_weights=True)[0]["loss"]
    picked = tuned(make(0), catalog, sft, whole, weights=weights)[0]["loss"]
    assert scaled == pytest.approx(plain / 4)
    assert picked != pytest.approx(plain / 4, rel=1e-6)


def test_weights_of_lowest_validation_loss_are_kept(make, catalog, monkeypatch):
    """Of five steps, weights after 2, 4 and the last are looked at; the losses are least after 4."""
    seen, losses = [], iter([3.0, 1.0, 2.0])

    def scripted(model, rows, *, batch_tokens):
        seen.append({name: value.clone() for name, value in model.tuned_weights().items()})
        return next(losses)

    monkeypatch.setattr("sprec.training.trainer.validation_loss", scripted)
    model = make(4)
    tuned(model, catalog, sft, replace(SCHEDULE, epochs=5, batch_rows=4, eval_every=2))
    assert len(seen) == 3
    assert all(torch.equal(seen[1][name], value) for name, value in model.tuned_weights().items())
    assert any(not torch.equal(seen[2][name], value) for name, value in model.tuned_weights().items())


def test_one_candidate_is_no_choice(make, catalog, monkeypatch):
    monkeypatch.delattr("sprec.training.trainer.validation_loss")
    assert len(tuned(make(4), catalog, sft, replace(SCHEDULE, eval_every=2))) == 2


def test_validation_loss_is_per_predicted_token(make, catalog):
    model = make(0)
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9 + i : 10 + i]) for i in range(3)]
    with torch.no_grad():
        total = sum(float(model.log_probs([row])) for row in rows)
    tokens = sum(len(row.answers[0]) for row in rows)
    assert validation_loss(model, rows, batch_tokens=500) == pytest.approx(-total / tokens, rel=1e-5)


def test_a_schedule_without_a_choice_is_described_as_before_there_was_one():
    assert "eval_every" not in SCHEDULE.describe()
    assert replace(SCHEDULE, eval_every=500).describe()["eval_every"] == 500


def test_the_model_stays_on_its_device_when_lightning_sends_it_away():
    module = object()
    assert FineTuningModule.cpu(module) is module
