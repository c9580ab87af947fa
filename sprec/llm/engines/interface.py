"""What an engine does for a language model: one meaning, however it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from jaxtyping import Bool, Float, Int

from sprec.llm.token_rows import PredictedTokens, TokenRow

if TYPE_CHECKING:
    from torch import Tensor


class DecodingState(Protocol):
    """Rows that continue prompts; all have read equally many tokens since their prompts."""

    def select_rows(self, rows: Int[Tensor, " selected"]) -> DecodingState:
        """Return these rows, in this order and as often as named; this state stays as it is."""
        ...

    def step(self, tokens: Int[Tensor, "rows width"]) -> Float[Tensor, "rows vocabulary"]:
        """Read the next tokens of each row; return the logits of the token that follows them."""
        ...

    def tail_log_probs(
        self,
        tokens: Int[Tensor, "rows width"],
        real: Bool[Tensor, "rows width"],
        labels: Int[Tensor, " real"],
    ) -> Float[Tensor, " real"]:
        """Read tokens, padded on the right where not `real`; return log p of the label after each, in nats.

        The state is spent by this: padding has been read.
        """
        ...


class ModelEngine(Protocol):
    """Computes log-probabilities, hidden states and next tokens of a base LLM with its adapters.

    Predicted tokens are in the order of `PredictedTokens.of`. Rows of one call have equally many answers.
    """

    name: ClassVar[str]

    def log_probs(self, rows: Sequence[TokenRow]) -> Float[Tensor, "batch answers"]:
        """Return the summed log-probability of each answer, in nats."""
        ...

    def token_logits(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted vocabulary"]:
        """Return the logits from which each token is predicted, in float32."""
        ...

    def hidden_states(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted size"]:
        """Return the decoder's last hidden state from which each token is predicted."""
        ...

    def prefill(
        self, prompts: Sequence[tuple[int, ...]]
    ) -> tuple[DecodingState, Float[Tensor, "prompts vocabulary"]]:
        """Read the prompts; return one row per prompt to continue, and the logits after each prompt."""
        ...

    def checkpoint_activations(self) -> None:
        """Store only each layer's input for the gradient and recompute the rest (Chen et al. 2016)."""
        ...


def sum_by_answer(
    by_token: Float[Tensor, " predicted"], tokens: PredictedTokens
) -> Float[Tensor, "batch answers"]:
    """Return the sum over the tokens of each answer."""
    sums: Tensor = by_token.new_zeros(tokens.shape)
    return sums.index_put((tokens.rows, tokens.answers), by_token, accumulate=True)


def group_equal(prompts: Sequence[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return the distinct prompts, and for each prompt its place among them: equal ones are read once.

    >>> group_equal([(1, 2), (3,), (1, 2)])
    ([(1, 2), (3,)], [0, 1, 0])
    """
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return list(places), [places[prompt] for prompt in prompts]
