"""Log-probabilities of many rows, without gradients: DPO's reference, and the validation loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from jaxtyping import Float

from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow
from sprec.progress import track
from sprec.training import distributed

if TYPE_CHECKING:
    from torch import Tensor

AnswerScorer: TypeAlias = "Callable[[Sequence[int]], Float[Tensor, 'batch answers']]"
"""From numbers of rows to a score of each answer, in nats."""


def compute_log_probs(
    model: LanguageModel,
    rows: Sequence[TokenRow],
    *,
    batch_tokens: int,
    label: str = "reference log-probabilities",
    score: AnswerScorer | None = None,
) -> Float[Tensor, "rows answers"]:
    """Return the frozen model's summed log-probability of each answer, in nats, or its `score` instead."""
    score = score or (lambda numbers: model.log_probs([rows[i] for i in numbers]))
    log_probs = torch.zeros(len(rows), len(rows[0].answers))
    model.network.eval()
    with torch.no_grad():
        groups = distributed.own_microbatches([row.width for row in rows], batch_tokens, even=model.sharded)
        for group in track(groups, label, len(groups)):
            # A sharded model is gathered by all processes at once: one without rows must make a pass too.
            scored = score(group or [0]).cpu()
            log_probs[group] = scored[: len(group)]
    return distributed.sum_over_processes(log_probs)


def validation_loss(
    model: LanguageModel,
    rows: Sequence[TokenRow],
    *,
    batch_tokens: int,
    score: AnswerScorer | None = None,
    tokens: float | None = None,
) -> float:
    """Return the mean negative log-likelihood of the rows' predicted tokens, in nats.

    Where SFT maximises another score, that is `score`, and `tokens` is what its sum is divided by.
    """
    log_probs = compute_log_probs(
        model, rows, batch_tokens=batch_tokens, label="validation loss", score=score
    )
    return -float(log_probs.sum()) / (tokens or sum(len(answer) for row in rows for answer in row.answers))
