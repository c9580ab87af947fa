"""How long and how fast a stage trains: epochs, batches, optimiser, learning rate, the order of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from numpy.random import Generator

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """Optimiser with linear warm-up over `warmup_steps` and a linear or cosine decay to zero.

    `warmup_share` of all steps takes the place of `warmup_steps`. With `warmup_from_zero`, the first step has
    the rate 0, as Hugging Face's schedules have it; without, warm-up reaches the full rate a step earlier.
    SFT predicts what `loss_on` names: "title", "history" or "sequence" (`with_loss_on`). `loss_per` "token"
    divides a step's summed loss by its predicted tokens, "row" by its rows. With `eval_every`, validation
    loss is computed after every so many steps and after the last one; the best weights are kept.
    """

    epochs: int
    batch_rows: int
    learning_rate: float
    warmup_steps: int
    clip_norm: float
    batch_tokens: int
    loss_on: str = "title"
    eval_every: int | None = None
    loss_per: str = "row"
    optimizer: str = "adamw"
    decay: str = "linear"
    warmup_share: float | None = None
    warmup_from_zero: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the settings that are in use, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def build_optimizer(
        self, weights: Sequence[Tensor], steps: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
        """Return the optimiser and its learning rate over `steps` optimiser steps."""
        optimizer = OPTIMIZERS[self.optimizer](weights, self.learning_rate)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.rate_factor(step, steps))
        return optimizer, rate

    def rate_factor(self, step: int, steps: int) -> float:
        """Return the share of `learning_rate` at a step, counted from 0, of `steps`."""
        warmup = self.warmup_steps
        if self.warmup_share is not None:
            # Rounded up, as Hugging Face's trainer does.
            warmup = math.ceil(self.warmup_share * steps)
        if self.warmup_from_zero:
            return step / warmup if step < warmup else self._decayed((steps - step) / max(steps - warmup, 1))
        return min((step + 1) / max(warmup, 1), self._decayed((steps - step) / max(steps - warmup, 1)))

    def _decayed(self, left: float) -> float:
        """Return the factor where this share of the decay is left."""
        left = max(0.0, left)
        return left if self.decay == "linear" else 0.5 * (1 + math.cos(math.pi * (1 - min(left, 1.0))))

    def batches(self, rows: int, rng: Generator) -> list[list[int]]:
        """Return the row numbers of each optimiser step of the stage."""
        return list(index_stream(rows, self.epochs, self.batch_rows, rng))


def adamw(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.AdamW:
    """Return AdamW without weight decay (Loshchilov and Hutter 2019)."""
    # One kernel for an adapter's hundreds of small weights takes a fifth of the time on a CPU.
    return torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0, fused=True)


def rmsprop(weights: Sequence[Tensor], learning_rate: float) -> torch.optim.RMSprop:
    """Return RMSprop with torch's own defaults, as SPIN's released code has it."""
    return torch.optim.RMSprop(weights, lr=learning_rate)


OPTIMIZERS = {"adamw": adamw, "rmsprop": rmsprop}


def index_stream(rows: int, epochs: int, batch: int, rng: Generator) -> Iterator[list[int]]:
    """Yield the row numbers of each optimiser step: a new order in each epoch, all of them fixed by `rng`."""
    # One flat stream over all epochs: Lightning's own epochs replay and drop batches when a fit is resumed.
    for _ in range(epochs):
        order = rng.permutation(rows).tolist()
        yield from (order[start : start + batch] for start in range(0, rows, batch))
