"""D3's guidance of a beam search by a recommender of item ids (Bao et al. 2024, "Decoding Matters")."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Masses = Callable[[Float[np.ndarray, "rows items"]], Float[np.ndarray, "rows nodes"]]
LEAST = np.finfo(np.float64).tiny  # a mass that rounds to zero counts as this one, so its log is finite


@dataclass(frozen=True)
class Guide:
    """The guidance of one search: `alpha` is the LLM's weight, `log_masses` are the other's, by trie node."""

    alpha: float
    log_masses: Float[np.ndarray, " nodes"] | None = None

    def step(
        self, log_probs: Float[np.ndarray, " tokens"], node: int, children: Sequence[int]
    ) -> Float[np.ndarray, " tokens"]:
        """Return α log p_LLM(token | prefix) + (1−α) log p_CF(token | prefix), in nats.

        p_CF(prefix) is the mass of the items that share the prefix, 1 at the root. So the steps of a title
        add up to α log p_LLM(title) + (1−α) log p_CF(item). (D3's released code takes the likeliest of those
        items in place of their mass; its steps do not add up.)
        """
        if self.log_masses is None:
            return log_probs
        gain = self.log_masses[list(children)] - self.log_masses[node]
        steps: Float[np.ndarray, " tokens"] = self.alpha * log_probs + (1 - self.alpha) * gain
        return steps


ALONE = Guide(1.0)
"""The LLM decides alone."""


@dataclass(frozen=True)
class Guidance:
    """Another recommender's probability of each item after each prompt, and the LLM's weight `alpha`."""

    probabilities: Float[np.ndarray, "prompts items"]
    alpha: float

    def of(self, prompts: Sequence[int], masses: Masses) -> list[Guide]:
        """Return the guides of these prompts; `masses` sums probabilities by trie node."""
        found = np.log(np.maximum(masses(self.probabilities[list(prompts)]), LEAST))
        return [Guide(self.alpha, row) for row in found]
