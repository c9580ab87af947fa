"""The rows that a stage trains on, and what weighs and divides their losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float

from sprec.llm.token_rows import TokenRow
from sprec.training.log_probs import AnswerScorer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TrainingRows:
    """What a stage trains on.

    `reference` holds the frozen model's log-probabilities, `weights` multiply the losses of rows (None: 1).
    With `batch_weights`, every row of a step has the step's mean weight. `token_counts` says how much a row
    counts in the divisor of a step's loss: its predicted tokens (None: 1). `scorer` stands in for the
    answers' log-probabilities. `validation` rows choose the best weights where the schedule evaluates;
    `validation_scorer` and `validation_tokens` are theirs where there is a `scorer`.
    """

    rows: Sequence[TokenRow]
    reference: Float[Tensor, "rows answers"]
    weights: Float[Tensor, " rows"] | None = None
    batch_weights: bool = False
    token_counts: Float[Tensor, " rows"] | None = None
    scorer: AnswerScorer | None = None
    validation: Sequence[TokenRow] = ()
    validation_scorer: AnswerScorer | None = None
    validation_tokens: float | None = None

    def step_weights(self, numbers: Sequence[int]) -> Float[Tensor, " batch"]:
        """Return the weights of one step's rows."""
        if self.weights is None:
            return torch.ones(len(numbers))
        weights = self.weights[list(numbers)]
        # As RW's released code: its mean has no dimension, so weights scale the step and not its rows.
        return weights.mean().expand(len(numbers)) if self.batch_weights else weights

    def step_divisor(self, numbers: Sequence[int]) -> float:
        """Return what one step's summed loss is divided by: its predicted tokens, or its rows."""
        # All rows of the step, whichever process or pass reads them: so the mean is exact under accumulation.
        return float(len(numbers) if self.token_counts is None else self.token_counts[list(numbers)].sum())
