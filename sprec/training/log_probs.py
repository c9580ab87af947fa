"""Log-probabilities of many rows, without gradients: DPO's reference, and the validation loss."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow
from sprec.progress import track
from sprec.training import distributed


def compute_log_probs(
    model: LanguageModel,
    rows: Sequence[TokenRow],
    *,
    batch_tokens: int,
    label: str = "reference log-probabilities",
) -> Float[Tensor, "rows answers"]:
    """Return the frozen model's summed log-probability of each answer, in nats."""
    log_probs = torch.zeros(len(rows), len(rows[0].answers))
    model.network.eval()
    with torch.no_grad():
        groups = distributed.own_microbatches([row.width for row in rows], batch_tokens, even=model.sharded)
        for group in track(groups, label, len(groups)):
            # A sharded model is gathered by all processes at once: one without rows must make a pass too.
            scored = model.log_probs([rows[i] for i in group or [0]]).cpu()
            log_probs[group] = scored[: len(group)]
    return distributed.sum_over_processes(log_probs)


def validation_loss(model: LanguageModel, rows: Sequence[TokenRow], *, batch_tokens: int) -> float:
    """Return the mean negative log-likelihood of the rows' predicted tokens, in nats."""
    log_probs = compute_log_probs(model, rows, batch_tokens=batch_tokens, label="validation loss")
    return -float(log_probs.sum()) / sum(len(answer) for row in rows for answer in row.answers)
