"""D3's guidance of a beam search by a recommender of item ids (Bao et al. 2024, "Decoding Matters")."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SumByNode = Callable[[Float[np.ndarray, "rows items"]], Float[np.ndarray, "rows nodes"]]
SMALLEST_MASS = np.finfo(np.float64).tiny  # stands for a mass that rounds to zero, so that its log is finite


@dataclass(frozen=True)
class PromptGuidance:
    """How one prompt's tokens are scored: `alpha` weighs the LLM, `log_masses` are by trie node."""

    alpha: float
    log_masses: Float[np.ndarray, " nodes"] | None = None

    def score_tokens(
        self, log_probs: Float[np.ndarray, " tokens"], node: int, children: Sequence[int]
    ) -> Float[np.ndarray, " tokens"]:
        """Return α log p_LLM(token | prefix) + (1−α) log p_CF(token | prefix), in nats.

        p_CF(prefix) is the probability mass of the items that share the prefix, 1 at the root. The scores of
        a title's tokens therefore add up to α log p_LLM(title) + (1−α) log p_CF(item).
        """
        if self.log_masses is None:
            return log_probs
        # D3's code first took the likeliest item's probability here and takes the sum since September 2024;
        # only with the sum do the scores of a title's tokens telescope.
        gain = self.log_masses[list(children)] - self.log_masses[node]
        scores: Float[np.ndarray, " tokens"] = self.alpha * log_probs + (1 - self.alpha) * gain
        return scores


UNGUIDED = PromptGuidance(1.0)
"""The LLM alone scores tokens."""


@dataclass(frozen=True)
class Guidance:
    """Another recommender's probability of each item after each prompt, and the LLM's weight `alpha`."""

    probabilities: Float[np.ndarray, "prompts items"]
    alpha: float

    def for_prompts(self, prompts: Sequence[int], sum_by_node: SumByNode) -> list[PromptGuidance]:
        """Return the guidance of the prompts of these numbers; `sum_by_node` is the trie's."""
        masses = np.maximum(sum_by_node(self.probabilities[list(prompts)]), SMALLEST_MASS)
        return [PromptGuidance(self.alpha, row) for row in np.log(masses)]
