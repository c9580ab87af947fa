"""CFT's score of a title: its likelihood, and that under what the history changes (Zhang et al. 2024).

"Causality-Enhanced Behavior Sequence Modeling in LLMs for Personalized Recommendation", arXiv 2410.22809.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow


@dataclass(frozen=True)
class Counterfactual:
    """Σ_t ω_t [log p(y_t | f(x_t)) + λ log p(y_t | f(x_t) − f(x⁰_t))] over a title's tokens.

    f are logits, x is the prompt, x⁰ the same without a history; λ is `effect`, and ω falls linearly from 1
    at the first token to `last` at the closing quote. Its negative is CFT's loss; both passes have a
    gradient, as in the released code. That code divides by the batch's Σω, where SFT here adds up a title's
    tokens.
    """

    effect: float
    last: float

    def scoring(
        self, model: LanguageModel, rows: Sequence[TokenRow], blanks: Sequence[TokenRow]
    ) -> Callable[[Sequence[int]], Float[Tensor, "batch 1"]]:
        """Return the scoring of rows by number; `blanks` are their titles after the prompt without a history.

        Each row is read twice, in one pass: such a pass holds twice the tokens of its rows.
        """
        pairs = list(zip(rows, blanks, strict=True))
        return lambda chosen: self(model, [pairs[i] for i in chosen])

    def __call__(
        self, model: LanguageModel, pairs: Sequence[tuple[TokenRow, TokenRow]]
    ) -> Float[Tensor, "batch 1"]:
        """Return the score of each row, in nats; beside it stands the one that has its title but no history.

        What a row learns before its title counts as in SFT.
        """
        seen, unseen = zip(*pairs, strict=True)
        titles = [len(row.answers[0]) for row in unseen]
        tail = _tail([len(row.answers[0]) for row in seen], titles).to(model.device)
        split = len(tail)
        with model.autocast():
            states = model.hidden_states([*seen, *unseen])
            with_history, without = states.hidden[:split], states.hidden[split:]
            found = model.token_log_probs(with_history, states.labels[:split])
            caused = _effect(model, with_history[tail], without, states.labels[split:])
        weights = torch.cat([linear_weights(count, self.last) for count in titles]).to(model.device)
        found = found.index_put((tail,), weights * (found[tail] + self.effect * caused))
        return found.new_zeros(len(seen)).index_add(0, states.rows[:split], found)[:, None]


def linear_weights(tokens: int, last: float) -> Float[Tensor, " tokens"]:
    """Return weights that fall linearly from 1 to `last`; a single token weighs 1.

    >>> linear_weights(4, 0.25).tolist(), linear_weights(1, 0.25).tolist()
    ([1.0, 0.75, 0.5, 0.25], [1.0])
    """
    return torch.linspace(1.0, last, tokens)


def _tail(answers: Sequence[int], titles: Sequence[int]) -> Bool[Tensor, " predicted"]:
    """Return which of the predicted tokens belong to the titles that end the answers."""
    parts = zip(answers, titles, strict=True)
    return torch.cat([torch.arange(count) >= count - title for count, title in parts])


def _effect(
    model: LanguageModel,
    seen: Float[Tensor, "tokens size"],
    unseen: Float[Tensor, "tokens size"],
    labels: Tensor,
) -> Float[Tensor, " tokens"]:
    """Return log p(label) under the difference of logits: the output layer is linear, so that of states."""
    assert getattr(model.base_model.lm_head, "bias", None) is None
    return model.token_log_probs(seen.float() - unseen.float(), labels)
