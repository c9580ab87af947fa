import os
import signal
from dataclasses import replace

import pytest
import torch

from sprec.processes.signals import EndedBySignalError, raise_on_signal
from sprec.seeds import stream
from sprec.training.checkpoint import TrainingCheckpoint
from sprec.training.log_probs import validation_loss
from sprec.training.objectives import sft
from sprec.training.schedule import Schedule, adamw
from sprec.training.trainer import FineTuningModule, fine_tune, preallocate_gradients
from sprec.training.training_rows import TrainingRows

SCHEDULE = Schedule(
    epochs=1, batch_rows=2, learning_rate=1e-3, warmup_steps=1, clip_norm=1.0, batch_tokens=500
)
TRAINER = {"accelerator": "cpu", "devices": 1}


def tuned(model, catalog, objective, schedule=SCHEDULE, **options):
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9 : 9 + 1]) for i in range(4)]
    data = TrainingRows(rows, torch.zeros(len(rows), 1), **options)
    return fine_tune(
        model, data, objective, schedule, rng=stream(0, "t"), torch_seed=0, label="sft 1", trainer=TRAINER
    )


def test_a_loss_that_is_not_finite_stops_with_step_and_rows(make, catalog):
    def broken(policy, reference):
        return sft(policy, reference) * float("nan")

    with pytest.raises(
        FloatingPointError, match=r"^sft 1: loss is nan at step 1 of 2, rows \[\d, \d\]; nothing is stored"
    ):
        tuned(make(4), catalog, broken)


def test_a_weight_that_is_not_finite_stops_with_stage_and_step(make, catalog):
    """Rates beyond float32 make the weights infinite in one step, whose loss and gradient were finite."""
    message = r"^sft 1: a weight is nan at step 1 of 2, rows \[\d, \d\]; .*; lower its rate of 1e\+39"
    with pytest.raises(FloatingPointError, match=message):
        tuned(make(0), catalog, sft, replace(SCHEDULE, learning_rate=1e39))


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(make, catalog):
    def broken(policy, reference):
        return sft(policy, reference) + (policy[:, 0] - policy[:, 0].detach()).abs().sqrt()  # slope 1 / 0

    model = make(4)
    before = {name: value.clone() for name, value in model.tuned_weights().items()}
    with pytest.raises(FloatingPointError, match=r"^sft 1: gradient norm is (nan|inf) at step 1 of 2"):
        tuned(model, catalog, broken)
    assert all(torch.equal(before[name], value) for name, value in model.tuned_weights().items())


def uneven_rows(model, catalog):
    """Four rows whose titles differ in length."""
    long = " and ".join(catalog.titles[3:6])
    titles = ["Ox", catalog.titles[9], long, f"{long} again"]
    return [model.encode(catalog.titles[i : i + 2], [title]) for i, title in enumerate(titles)]


def one_step(model, rows, **schedule):
    counts = torch.tensor([float(len(row.answers[0])) for row in rows])
    data = TrainingRows(rows, torch.zeros(len(rows), 1), token_counts=counts)
    schedule = replace(SCHEDULE, batch_rows=4, **schedule)
    options = {"rng": stream(0, "t"), "torch_seed": 0, "label": "sft 1", "trainer": TRAINER}
    return fine_tune(model, data, sft, schedule, **options)[0]


def test_loss_per_token_is_the_mean_over_the_step_whatever_its_passes(make, catalog):
    """A mean of the means of four passes would weigh the tokens of short titles more."""
    model = make(0)
    rows = uneven_rows(model, catalog)
    with torch.no_grad():
        sums = [-float(model.log_probs([row])) for row in rows]
    counts = [len(row.answers[0]) for row in rows]
    assert len(set(counts)) > 1
    mean = sum(sums) / sum(counts)
    assert mean != pytest.approx(sum(s / c for s, c in zip(sums, counts, strict=True)) / 4, rel=1e-3)
    in_one, apart = one_step(make(0), rows, batch_tokens=2000), one_step(make(0), rows, batch_tokens=1)
    assert in_one["loss"] == pytest.approx(mean, rel=1e-5)
    assert apart == pytest.approx(in_one, rel=1e-5)


def test_a_step_reports_norm_before_clipping_rate_and_share_of_clipped_steps(make, catalog):
    model = make(0)
    rows = uneven_rows(model, catalog)
    (-model.log_probs(rows).sum() / sum(len(row.answers[0]) for row in rows)).backward()
    norm = torch.stack([weight.grad.norm() for weight in trained(model)]).norm()
    step = one_step(make(0), rows, clip_norm=0.01, learning_rate=0.002)
    assert step["grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    assert (step["learning_rate"], step["clipped_share"]) == (0.002, 1.0)
    assert one_step(make(0), rows, clip_norm=100.0)["clipped_share"] == 0.0


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

    def scripted(model, rows, **how):
        seen.append({name: value.clone() for name, value in model.tuned_weights().items()})
        return next(losses)

    monkeypatch.setattr("sprec.training.trainer.validation_loss", scripted)
    model = make(4)
    curve = tuned(model, catalog, sft, replace(SCHEDULE, epochs=5, batch_rows=4, eval_every=2))
    assert len(seen) == 3
    assert [values.get("validation_loss") for values in curve] == [None, 3.0, None, 1.0, 2.0]
    assert [values.get("kept_step") for values in curve] == [None, None, None, 4, None]
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


class Killed(BaseException):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("killed_at", [1, 4, 7])
@pytest.mark.parametrize("rank", [4, 0])
def test_a_killed_stage_goes_on_from_its_checkpoint_to_the_same_bytes(
    make, catalog, tmp_path, monkeypatch, killed_at, rank
):
    """Eight steps; a second kill comes two steps after the first. Every step writes a checkpoint."""
    calls = []

    def run(model, folder, kill_before=None):
        def objective(policy, reference):
            calls.append(1)
            if len(calls) == kill_before:
                raise Killed
            return sft(policy, reference)

        calls.clear()
        rows = uneven_rows(model, catalog)
        schedule = replace(SCHEDULE, epochs=4, batch_tokens=10_000)
        options = {"torch_seed": 0, "label": "sft 1", "trainer": TRAINER}
        checkpoint = TrainingCheckpoint(folder, 0)
        data = TrainingRows(rows, torch.zeros(len(rows), 1))
        return fine_tune(
            model, data, objective, schedule, rng=stream(0, "t"), checkpoint=checkpoint, **options
        )

    whole = make(rank)
    curve = run(whole, None)
    for kill_before in (killed_at, 2):
        with pytest.raises(Killed):
            run(make(rank), tmp_path, kill_before)
    resumed = make(rank)
    assert run(resumed, tmp_path) == curve
    assert len(calls) == 8 - killed_at  # no step since the last checkpoint is taken twice
    for name, value in whole.tuned_weights().items():
        assert torch.equal(value, resumed.tuned_weights()[name])


def test_a_checkpoint_that_cannot_be_read_is_a_warning_and_a_new_start(tmp_path, caplog):
    (tmp_path / "training.pt").write_bytes(b"half a file")
    assert TrainingCheckpoint(tmp_path, 5).load(torch.device("cpu")) is None
    assert "training starts again" in caplog.text
    assert not (tmp_path / "training.pt").exists()


def test_a_checkpoint_that_does_not_fit_leaves_training_alone(tmp_path, monkeypatch, caplog):
    checkpoint = TrainingCheckpoint(tmp_path / "stage", 0)

    def full(state, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 832 vs 726")

    monkeypatch.setattr(torch, "save", full)
    checkpoint.save_if_due(lambda: {"step": 1})
    assert "no checkpoint" in caplog.text
    assert "unexpected pos" in caplog.text
    assert not list((tmp_path / "stage").iterdir())
