"""CFT's score of a title: its likelihood, and that under what the history changes (Zhang et al. 2024).

"Causality-Enhanced Behavior Sequence Modeling in LLMs for Personalized Recommendation", arXiv 2410.22809.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int

from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import PredictedTokens, TokenRow

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Counterfactual:
    """Σ_t ω_t [log p(y_t | f(x_t)) + λ log p(y_t | f(x_t) − f(x⁰_t))] over a title's tokens.

    f are logits, x is the prompt, x⁰ the same without a history; λ is `effect_weight`, and ω falls linearly
    from 1 at the first token to `last_token_weight` at the closing quote. Its negative is CFT's loss; both
    passes have a gradient, as in the released code. That code divides by the batch's Σω, and so does
    `trainer.loss_per=token`.
    """

    effect_weight: float
    last_token_weight: float

    def scorer(
        self, model: LanguageModel, rows: Sequence[TokenRow], without_history: Sequence[TokenRow]
    ) -> Callable[[Sequence[int]], Float[Tensor, "batch 1"]]:
        """Return the function that scores rows by number; `without_history` are their titles after x⁰.

        Each row is read twice, in one pass: such a pass holds twice the tokens of its rows.
        """
        pairs = list(zip(rows, without_history, strict=True))
        return lambda numbers: self(model, [pairs[i] for i in numbers])

    def __call__(
        self, model: LanguageModel, pairs: Sequence[tuple[TokenRow, TokenRow]]
    ) -> Float[Tensor, "batch 1"]:
        """Return the score of each row, in nats; each stands beside the row of its title without a history.

        What a row predicts before its title counts as in SFT.
        """
        rows, without_history = zip(*pairs, strict=True)
        # An answer may begin in the prompt (`with_loss_on`); after x⁰ it is the title alone.
        title_tokens = [len(row.answers[0]) for row in without_history]
        in_title = _in_title([len(row.answers[0]) for row in rows], title_tokens).to(model.device)
        count = len(in_title)
        both = [*rows, *without_history]
        logits, predicted = model.token_logits(both), PredictedTokens.of(both, model.device)
        log_probs = _label_log_probs(logits[:count], predicted.labels[:count])
        # Both are in the order of rows and then of title tokens, so they can be subtracted as they stand.
        effect = _label_log_probs(logits[:count][in_title] - logits[count:], predicted.labels[count:])
        weights = torch.cat([linear_weights(tokens, self.last_token_weight) for tokens in title_tokens])
        title = weights.to(model.device) * (log_probs[in_title] + self.effect_weight * effect)
        log_probs = log_probs.index_put((in_title,), title)
        return log_probs.new_zeros(len(rows)).index_add(0, predicted.rows[:count], log_probs)[:, None]


def linear_weights(tokens: int, last: float) -> Float[Tensor, " tokens"]:
    """Return weights that fall linearly from 1 to `last`; a single token weighs 1.

    >>> linear_weights(4, 0.25).tolist(), linear_weights(1, 0.25).tolist()
    ([1.0, 0.75, 0.5, 0.25], [1.0])
    """
    return torch.linspace(1.0, last, tokens)


def _in_title(answer_tokens: Sequence[int], title_tokens: Sequence[int]) -> Bool[Tensor, " predicted"]:
    """Return which of the predicted tokens belong to the titles that end the answers."""
    lengths = zip(answer_tokens, title_tokens, strict=True)
    return torch.cat([torch.arange(answer) >= answer - title for answer, title in lengths])


def _label_log_probs(
    logits: Float[Tensor, "tokens vocabulary"], labels: Int[Tensor, " tokens"]
) -> Float[Tensor, " tokens"]:
    """Return log p(label) in nats."""
    return -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
