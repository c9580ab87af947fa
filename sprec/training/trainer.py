"""The one Lightning module: SFT and preference tuning are the same loop over different objectives."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Self

import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.strategies import ParallelStrategy
from numpy.random import Generator
from torch import Tensor

from sprec.llm.language_model import LanguageModel
from sprec.progress import show_progress
from sprec.training import distributed
from sprec.training.checkpoint import TrainingCheckpoint, random_state, set_random_state
from sprec.training.log_probs import validation_loss
from sprec.training.objectives import Objective
from sprec.training.schedule import Schedule
from sprec.training.step_values import (
    ACCURACIES,
    MARGINS,
    PREFERENCE,
    preference_sums,
    reward_scale,
    sum_values,
)
from sprec.training.training_rows import TrainingRows

log = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # otherwise it prints a greeting per stage


@dataclass(frozen=True)
class BestWeights:
    """The weights with the lowest validation loss (nats per token) so far, and the step they are from."""

    step: int = 0
    loss: float = math.inf
    weights: Mapping[str, Tensor] = field(default_factory=dict)


class FineTuningModule(lightning.LightningModule):
    """Minimises the mean objective over batches of rows; `curve` has one entry per optimiser step."""

    def __init__(
        self,
        model: LanguageModel,
        data: TrainingRows,
        objective: Objective,
        schedule: Schedule,
        *,
        steps: int,
        label: str,
        checkpoint: TrainingCheckpoint,
        on_step: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # a step is as many passes as its tokens need
        self.network = model.network
        self.language_model, self.data, self.objective = model, data, objective
        self.schedule, self.steps, self.label = schedule, steps, label
        self.beta = reward_scale(objective)  # only for the rewards that are reported
        self.clipped_steps = 0
        self.log_probs = data.scorer or (lambda numbers: model.log_probs([data.rows[i] for i in numbers]))
        self.best = BestWeights()
        self.curve: list[dict[str, float]] = []
        self.checkpoint, self.resumed = checkpoint, checkpoint.load(model.device)
        self.first_step, self.on_step = 0, on_step
        self.advance_to: Callable[[int], None] = lambda steps: None
        if self.resumed:
            self._restore(self.resumed)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take back all but optimiser and random state, which come when Lightning has made its own."""
        self.first_step, self.curve = state["step"], list(state["curve"])
        self.clipped_steps, self.best = state["clipped_steps"], BestWeights(*state["best"])
        self.language_model.set_tuned_weights(state["weights"])

    def _state(self, optimizer: Any, rate: Any, step: int) -> dict[str, Any]:
        """Return all that the steps after this one depend on."""
        return {
            "step": step,
            "curve": self.curve,
            "clipped_steps": self.clipped_steps,
            "best": (self.best.step, self.best.loss, dict(self.best.weights)),
            "weights": self.language_model.tuned_weights(),
            "optimizer": optimizer.state_dict(),
            "rate": rate.state_dict(),
            "random": random_state(self.language_model.device),
        }

    def configure_optimizers(self) -> Any:
        """Return the schedule's optimiser and learning rate."""
        optimizer, rate = self.schedule.build_optimizer(self._trainable, self.steps)
        if self.resumed:
            optimizer.load_state_dict(self.resumed["optimizer"])
            rate.load_state_dict(self.resumed["rate"])
        return [optimizer], [rate]

    @property
    def _trainable(self) -> list[Tensor]:
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def on_train_start(self) -> None:
        """Allocate the gradients, after Lightning has freed earlier ones."""
        preallocate_gradients(self._trainable)

    def training_step(self, numbers: list[int], batch_idx: int) -> None:
        """Take one optimiser step on these rows, a few at a time so that padding and memory stay small."""
        optimizer: Any = self.optimizers()
        rate: Any = self.lr_schedulers()
        if self.resumed and batch_idx == 0:  # here, because Lightning may draw numbers on its way
            set_random_state(self.resumed["random"], self.language_model.device)
        batch_idx += self.first_step
        # Zeros, not None: gradients stay in the buffer of `preallocate_gradients`.
        optimizer.zero_grad(set_to_none=False)
        rows = [self.data.rows[number] for number in numbers]
        groups = distributed.own_microbatches(
            [row.width for row in rows], self.schedule.batch_tokens, even=self.language_model.sharded
        )
        weights, divisor = self.data.step_weights(numbers), self.data.step_divisor(numbers)
        with self._without_gradient_sync():
            sums = [self._backward(numbers, weights, divisor, group) for group in groups]
        values = self._means(sums, len(rows), divisor)
        # The loss is that of all processes, so they stop together and none waits for the others.
        self._check_finite("loss", values["loss"], batch_idx, numbers)
        distributed.sum_gradients(self.network.parameters())
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip_norm))
        self._check_finite("gradient norm", norm, batch_idx, numbers)
        values |= {"grad_norm": norm, "learning_rate": rate.get_last_lr()[0]}
        self.clipped_steps += norm > self.schedule.clip_norm
        self.curve.append({**values, "clipped_share": self.clipped_steps / (batch_idx + 1)})
        self.on_step(batch_idx + 1, self.curve[-1])
        optimizer.step()
        rate.step()
        # One answer for all weights: each would make the device wait.
        finite = torch.stack([weight.isfinite().all() for weight in self._trainable]).all()
        self._check_finite("a weight", 0.0 if finite else math.nan, batch_idx, numbers)
        self.advance_to(batch_idx + 1)
        self._keep_best_weights(batch_idx + 1)
        self.checkpoint.save_if_due(lambda: self._state(optimizer.optimizer, rate, batch_idx + 1))

    def _check_finite(self, name: str, value: float, batch_idx: int, numbers: Sequence[int]) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{self.label}: {name} is {value} at step {batch_idx + 1} of {self.steps}, rows "
                f"{list(numbers)}; nothing is stored; lower its rate of {self.schedule.learning_rate:g}"
            )

    def _keep_best_weights(self, step: int) -> None:
        """Keep a copy of the weights if this step is one to evaluate and has the lowest validation loss."""
        every = self.schedule.eval_every
        # With one evaluation, at the end, there would be nothing to choose from.
        if every is None or self.steps <= every or (step % every and step != self.steps):
            return
        loss = validation_loss(
            self.language_model,
            self.data.validation,
            batch_tokens=self.schedule.batch_tokens,
            score=self.data.validation_scorer,
            tokens=self.data.validation_tokens,
        )
        self.network.train()
        log.info("validation loss after step %d: %.4f nats per token", step, loss)
        self.curve[-1]["validation_loss"] = loss
        self.on_step(step, {"validation_loss": loss})
        if loss < self.best.loss:
            weights = self.language_model.tuned_weights()
            # Copies, since the next step changes the originals.
            self.best = BestWeights(step, loss, {name: value.clone() for name, value in weights.items()})

    def cpu(self) -> Self:
        """Stay on the device: Lightning moves a module away after fitting, and this one is used again."""
        return self

    def _without_gradient_sync(self) -> AbstractContextManager[None]:
        """Keep DDP from exchanging gradients after every pass: their sum is needed once per step."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def _means(self, sums: Sequence[Mapping[str, float]], rows: int, divisor: float) -> dict[str, float]:
        """Return the step's loss, and what else it reports per row, over the rows of all processes."""
        names = (*PREFERENCE, MARGINS, ACCURACIES) if self.data.reference.shape[1] > 1 else ()
        totals = sum_values(sums, ("loss", *names))
        return {"loss": totals["loss"] / divisor, **{name: totals[name] / rows for name in names}}

    def _backward(
        self, numbers: Sequence[int], weights: Float[Tensor, " batch"], divisor: float, group: Sequence[int]
    ) -> dict[str, float]:
        """Add the gradient of a group of the step's rows; return the sums of what they report.

        With no rows, run a dummy forward and backward pass so that collectives stay in step.
        """
        if not group:
            self.manual_backward(self.log_probs(numbers[:1]).sum() * 0)
            return {}
        chosen = [numbers[i] for i in group]
        policy = self.log_probs(chosen)
        reference = self.data.reference[chosen].to(policy.device)
        losses = self.objective(policy, reference) * weights[group].to(policy.device)
        self.manual_backward(losses.sum() / divisor)
        pairs = preference_sums(policy, reference, beta=self.beta) if policy.shape[1] > 1 else {}
        return {"loss": float(losses.detach().sum()), **pairs}


def preallocate_gradients(weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """Allocate all gradients in one flat buffer of zeros; return the weights."""
    # Made one by one during a pass, gradients come to lie between activations that are freed soon, and what
    # is then free is in pieces too small for the next pass.
    sizes = [weight.numel() for weight in weights]
    buffer = weights[0].new_zeros(sum(sizes))
    for weight, gradient in zip(weights, buffer.split(sizes), strict=True):
        weight.grad = gradient.view_as(weight)
    return weights


def fine_tune(
    model: LanguageModel,
    data: TrainingRows,
    objective: Objective,
    schedule: Schedule,
    *,
    rng: Generator,
    torch_seed: int,
    label: str,
    trainer: Mapping[str, Any],
    checkpoint: TrainingCheckpoint | None = None,
    on_step: Callable[[int, Mapping[str, float]], None] = lambda step, values: None,
) -> list[dict[str, float]]:
    """Train `model` in place; return what each optimiser step reports; `kept_step` marks whose weights stay.

    `FloatingPointError` with label and step for a loss, gradient norm or weight that is not finite.

    Args:
        model: the model; what is trainable of it changes.
        data: the rows, their reference and weights.
        objective: from log-probabilities to one loss per row.
        schedule: epochs, batches, learning rate.
        rng: draws the order of the rows.
        torch_seed: seeds dropout.
        label: the stage's name, for errors.
        trainer: what Lightning's trainer is told of device and processes.
        checkpoint: what a stage that was killed goes on from; nothing is kept where None.
        on_step: called with the number of each step, from 1, and what it reports.
    """
    batches = schedule.batches(len(data.rows), rng)
    checkpoint = checkpoint or TrainingCheckpoint(None, 0)
    options: dict[str, Any] = {"steps": len(batches), "label": label, "checkpoint": checkpoint}
    options |= {"on_step": on_step}
    module = FineTuningModule(model, data, objective, schedule, **options)
    left = batches[module.first_step :]
    loop = lightning.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **trainer,
    )
    torch.manual_seed((torch_seed + distributed.rank()) % 2**63)  # dropout differs between processes
    model.network.train()
    # The bar belongs to this block: in a generator that Lightning holds, it would outlive an interrupt.
    with show_progress("optimiser steps", len(batches)) as module.advance_to:
        loop.fit(module, iter(left))  # an iterator, since a list would be one loader for each batch
    if step := module.best.step:
        log.info("kept the weights after step %d of %d", step, len(batches))
        module.curve[step - 1]["kept_step"] = step
        on_step(step, {"kept_step": step})
        model.set_tuned_weights(module.best.weights)
    return module.curve
