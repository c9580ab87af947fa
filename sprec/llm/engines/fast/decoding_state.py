"""Rows that continue read prompts token by token."""

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from sprec.llm.engines.fast.chunked_log_probs import token_log_probs
from sprec.llm.engines.fast.prefix_cache import AnswerKVCache


class FastDecodingState:
    """Rows that continue prompts, all of which have read equally many tokens of their own."""

    def __init__(self, base_model: Any, cache: AnswerKVCache) -> None:
        self._base_model, self._cache = base_model, cache

    def select_rows(self, rows: Int[Tensor, " selected"]) -> "FastDecodingState":
        """Return these rows, in this order and as often as named; this state stays as it is."""
        return FastDecodingState(self._base_model, self._cache.select_rows(rows))

    def step(self, tokens: Int[Tensor, "rows width"]) -> Float[Tensor, "rows vocabulary"]:
        """Read the next tokens of each row; return the logits of the token that follows them."""
        hidden = self._cache.step(self._base_model.model, tokens)
        logits: Tensor = self._base_model.lm_head(hidden[:, -1]).float()
        return logits

    def tail_log_probs(
        self,
        tokens: Int[Tensor, "rows width"],
        real: Bool[Tensor, "rows width"],
        labels: Int[Tensor, " real"],
    ) -> Float[Tensor, " real"]:
        """Read tokens, padded on the right where not `real`; return log p of the label after each, in nats.

        The state is spent by this: padding has been read.
        """
        hidden = self._cache.step(self._base_model.model, tokens)
        return token_log_probs(self._base_model.lm_head, hidden[real], labels)
