"""The one Lightning module: SFT and preference tuning are the same loop over other objectives."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor

from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow
from sprec.progress import track
from sprec.training import distributed
from sprec.training.objectives import Objective

log = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it greets at every stage


AnswerScorer = Callable[[Sequence[int]], Float[Tensor, "batch answers"]]
"""From numbers of rows to the log-probabilities of their answers, in nats."""


@dataclass(frozen=True)
class Schedule:
    """How a stage trains: AdamW, linear warm-up over `warmup_steps`, linear decay to zero.

    `loss_on` is what SFT predicts: "title", "history" or "sequence" (see `learning`). With `eval_every` the
    weights with the lowest validation loss among those after every so many steps and at the end are kept.
    """

    epochs: int
    batch_rows: int
    learning_rate: float
    warmup_steps: int
    clip_norm: float
    batch_tokens: int
    loss_on: str = "title"
    eval_every: int | None = None

    def described(self) -> dict[str, Any]:
        """Return the settings by name, without a choice where none is made."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class BestWeights:
    """The best weights so far: after which step, and their validation loss in nats per token."""

    step: int = 0
    loss: float = math.inf
    weights: Mapping[str, Tensor] = field(default_factory=dict)


class FineTuningModule(lightning.LightningModule):
    """Minimises the mean objective over batches of rows; `curve` keeps one entry per optimiser step."""

    def __init__(
        self,
        model: LanguageModel,
        rows: Sequence[TokenRow],
        reference: Float[Tensor, "rows answers"],
        objective: Objective,
        schedule: Schedule,
        *,
        weights: Float[Tensor, " rows"],
        per_batch: bool,
        steps: int,
        validation: Sequence[TokenRow],
        scoring: AnswerScorer | None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model.network
        self.recommender, self.rows, self.reference = model, rows, reference
        self.scoring = scoring or (lambda chosen: model.log_probs([rows[i] for i in chosen]))
        self.objective, self.schedule, self.steps = objective, schedule, steps
        self.weights, self.per_batch = weights, per_batch
        self.validation, self.choice = validation, BestWeights()
        self.curve: list[dict[str, float]] = []

    def configure_optimizers(self) -> Any:
        """Return AdamW with the schedule's warm-up and decay."""
        optimiser = adamw(self._trained, self.schedule.learning_rate)
        warm = max(self.schedule.warmup_steps, 1)
        decay = max(self.steps - warm, 1)
        shape = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / warm, max(0.0, (self.steps - step) / decay))
        )
        return [optimiser], [shape]

    @property
    def _trained(self) -> list[Tensor]:
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def on_train_start(self) -> None:
        """Give gradients their place, after Lightning has let go of earlier ones."""
        preallocate_gradients(self._trained)

    def training_step(self, numbers: list[int], batch_idx: int) -> None:
        """Take one optimiser step on these rows, a few at a time so that padding and memory stay small."""
        optimiser: Any = self.optimizers()
        shape: Any = self.lr_schedulers()
        optimiser.zero_grad(set_to_none=False)
        rows = [self.rows[number] for number in numbers]
        widths, even = [row.width for row in rows], self.recommender.sharded
        groups = distributed.shared(widths, self.schedule.batch_tokens, even=even)
        weights = self.weights[numbers]
        if self.per_batch:
            weights = weights.mean().expand(len(rows))
        with self._apart():
            totals = [self._backward(rows, numbers, weights, group) for group in groups]
        values = self._means(totals, len(rows))
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"loss is {values['loss']} at step {batch_idx + 1}, rows {numbers}; lower the learning rate"
            )
        distributed.sum_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip_norm)
        optimiser.step()
        shape.step()
        self.curve.append(values)
        self._choose(batch_idx + 1)

    def _choose(self, step: int) -> None:
        """Keep the weights after this step where it is one to choose from and validation loss is lower."""
        every = self.schedule.eval_every
        if every is None or self.steps <= every or (step % every and step != self.steps):
            return
        loss = validation_loss(self.recommender, self.validation, batch_tokens=self.schedule.batch_tokens)
        self.model.train()
        log.info("validation loss after step %d: %.4f nats per token", step, loss)
        if loss < self.choice.loss:
            weights = {name: value.clone() for name, value in self.recommender.tuned_weights().items()}
            self.choice = BestWeights(step, loss, weights)

    def cpu(self) -> Self:
        """Stay on the device: Lightning moves a module away after fitting, but the recommender goes on."""
        return self

    def _apart(self) -> AbstractContextManager[None]:
        """Keep DDP from exchanging gradients after every pass: their sum is wanted once a step."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def _means(self, totals: Sequence[Mapping[str, float]], rows: int) -> dict[str, float]:
        """Return loss and margin per row of the step, over the rows of all processes."""
        keys = ("loss", "margin") if self.reference.shape[1] > 1 else ("loss",)
        sums = [sum(total[key] for total in totals) for key in keys]
        whole = distributed.summed(torch.tensor(sums, dtype=torch.float64)).tolist()
        return {key: value / rows for key, value in zip(keys, whole, strict=True)}

    def _backward(
        self,
        rows: Sequence[TokenRow],
        numbers: Sequence[int],
        weights: Float[Tensor, " batch"],
        group: Sequence[int],
    ) -> dict[str, float]:
        """Add the gradient of some rows of the batch; returns their summed loss and margin.

        Of no rows it passes through the model as the other processes do, for nothing.
        """
        if not group:
            self.manual_backward(self.scoring(numbers[:1]).sum() * 0)
            return {"loss": 0.0, "margin": 0.0}
        chosen = [numbers[i] for i in group]
        policy = self.scoring(chosen)
        reference = self.reference[chosen].to(policy.device)
        losses = self.objective(policy, reference) * weights[group].to(policy.device)
        self.manual_backward(losses.sum() / len(rows))
        delta = (policy - reference).detach()
        margins = (delta[:, :1] - delta[:, 1:]).mean(1) if delta.shape[1] > 1 else None
        margin = {} if margins is None else {"margin": float(margins.sum())}
        return {"loss": float(losses.detach().sum()), **margin}


def adamw(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.AdamW:
    """Return AdamW without weight decay (Loshchilov and Hutter 2019); one kernel takes a whole step."""
    return torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0, fused=True)


def preallocate_gradients(weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the weights, each with a gradient of zeros; all gradients lie side by side in memory.

    Where passes make gradients one by one, they come to lie between tensors that are freed soon, and what is
    free is in pieces too small for the next pass.
    """
    sizes = [weight.numel() for weight in weights]
    room = weights[0].new_zeros(sum(sizes))
    for weight, part in zip(weights, room.split(sizes), strict=True):
        weight.grad = part.view_as(weight)
    return weights


def index_stream(rows: int, epochs: int, batch: int, rng: Any) -> Iterator[list[int]]:
    """Yield the row numbers of each optimiser step: one flat stream over all epochs, fixed by `rng`."""
    for _ in range(epochs):
        order = rng.permutation(rows).tolist()
        yield from (order[start : start + batch] for start in range(0, rows, batch))


def compute_log_probs(
    model: LanguageModel,
    rows: Sequence[TokenRow],
    *,
    batch_tokens: int,
    label: str = "reference log-probabilities",
) -> Float[Tensor, "rows answers"]:
    """Return the frozen model's log-probabilities of all answers; `label` names the progress."""
    found = torch.zeros(len(rows), len(rows[0].answers))
    model.network.eval()
    with torch.no_grad():
        groups = distributed.shared([row.width for row in rows], batch_tokens, even=model.sharded)
        for group in track(groups, label, len(groups)):
            passed = model.log_probs([rows[i] for i in group or [0]]).cpu()
            found[group] = passed[: len(group)]
    return distributed.summed(found)


def validation_loss(model: LanguageModel, rows: Sequence[TokenRow], *, batch_tokens: int) -> float:
    """Return the mean negative log-likelihood of the rows' predicted tokens, in nats."""
    found = compute_log_probs(model, rows, batch_tokens=batch_tokens, label="validation loss")
    return -float(found.sum()) / sum(len(answer) for row in rows for answer in row.answers)


def fine_tune(
    model: LanguageModel,
    rows: Sequence[TokenRow],
    reference: Float[Tensor, "rows answers"],
    objective: Objective,
    schedule: Schedule,
    *,
    rng: Any,
    torch_seed: int,
    trainer: Mapping[str, Any],
    weights: Float[Tensor, " rows"] | None = None,
    per_batch: bool = False,
    validation: Sequence[TokenRow] = (),
    scoring: AnswerScorer | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place; returns loss (and preference margin, nats) of each optimiser step.

    `weights` multiply the losses of rows, 1 where none are given; with `per_batch` all rows of a step have
    the step's mean weight. `validation` rows decide where the schedule has a choice to make. `scoring` stands
    in for the answers' log-probabilities.
    """
    stream = list(index_stream(len(rows), schedule.epochs, schedule.batch_rows, rng))
    weights = torch.ones(len(rows)) if weights is None else weights
    options: dict[str, Any] = {"weights": weights, "per_batch": per_batch, "steps": len(stream)}
    options |= {"validation": validation, "scoring": scoring}
    tuner = FineTuningModule(model, rows, reference, objective, schedule, **options)
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
    loop.fit(tuner, track(stream, "optimiser steps", len(stream)))
    if tuner.choice.step:
        log.info("kept the weights after step %d of %d", tuner.choice.step, len(stream))
        model.set_tuned_weights(tuner.choice.weights)
    return tuner.curve
