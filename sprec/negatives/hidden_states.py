"""How alike two answers to one prompt are to the model itself: by its last hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import PredictedTokens, TokenRow, microbatches
from sprec.progress import track


def mean_hidden_states(
    model: LanguageModel, rows: Sequence[TokenRow], *, batch_tokens: int
) -> Float[np.ndarray, "rows answers size"]:
    """Return, for each answer, the mean of the hidden states from which its tokens are predicted (S/T)."""
    model.network.eval()
    size = model.base_model.config.hidden_size
    means = np.zeros((len(rows), len(rows[0].answers), size), dtype=np.float32)
    groups = microbatches([row.width for row in rows], batch_tokens)
    for group in track(groups, "hidden states", len(groups)):
        with torch.no_grad():
            means[group] = _means(model, [rows[i] for i in group])
    return means


def ches_scores(means: Float[np.ndarray, "rows answers size"]) -> Float[np.ndarray, "rows rejected"]:
    """Return the length-normalised CHES score of each answer after the first (Razin et al. 2024).

    S_w·S_l / (T_w T_l) − ‖S_w‖² / T_w², where S sums the hidden states of an answer over its T tokens; high
    scores foretell that DPO lowers the chosen answer's probability too.

    >>> ches_scores(np.array([[[1.0, 1.0], [2.0, 0.5], [0.0, 0.0]]])).tolist()
    [[0.5, -2.0]]
    """
    chosen, rejected = means[:, :1], means[:, 1:]
    # The division by T_w and T_l is in the means already.
    scores: Float[np.ndarray, "rows rejected"] = (rejected * chosen).sum(-1) - (chosen * chosen).sum(-1)
    return scores


def _means(model: LanguageModel, rows: Sequence[TokenRow]) -> Float[np.ndarray, "rows answers size"]:
    """Return the means of these rows, read in one pass."""
    # In half precision the sum over a title would lose digits.
    hidden, tokens = model.hidden_states(rows).float(), PredictedTokens.of(rows, model.device)
    place = (tokens.rows, tokens.answers)
    shape = (len(rows), len(rows[0].answers))
    sums = hidden.new_zeros(*shape, hidden.shape[-1]).index_put_(place, hidden, accumulate=True)
    lengths = hidden.new_zeros(shape).index_put_(place, hidden.new_ones(len(hidden)), accumulate=True)
    means: Float[np.ndarray, "rows answers size"] = (sums / lengths[..., None]).cpu().numpy()
    return means
