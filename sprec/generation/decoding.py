"""Writing titles: one per prompt, greedily or sampled, and the K best of the catalogue by beam search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor

from sprec.generation.beam_search import Trie, search
from sprec.generation.guidance import ALONE, Guidance
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import microbatches
from sprec.progress import track

__all__ = ["Decoding", "Greedy", "Sampled", "Trie", "beams", "complete"]

Prompts = Sequence[tuple[int, ...]]
TITLE_TOKENS = 32
"""The longest title that is written, in tokens (released inference)."""
BEAM_TOKENS = 8
"""What a beam adds to its prompt's tokens when prompts are grouped: about a title."""


class Decoding(Protocol):
    """Picks the next token of each row; `varies` where one prompt may have several titles."""

    varies: ClassVar[bool]

    def draws(self, rows: int, steps: int, rng: Generator) -> Float[np.ndarray, "rows steps"]:
        """Return the uniform draws that each row will use: they do not depend on how rows are batched."""
        ...

    def pick(
        self, logits: Float[Tensor, "rows vocabulary"], draw: Float[Tensor, " rows"]
    ) -> Int[Tensor, " rows"]:
        """Return one token per row."""
        ...


@dataclass(frozen=True)
class Greedy:
    """Always the most probable token (the released way)."""

    varies: ClassVar[bool] = False

    def draws(self, rows: int, steps: int, rng: Generator) -> Float[np.ndarray, "rows steps"]:
        """Return zeros: nothing is drawn."""
        return np.zeros((rows, steps))

    def pick(
        self, logits: Float[Tensor, "rows vocabulary"], draw: Float[Tensor, " rows"]
    ) -> Int[Tensor, " rows"]:
        """Return the tokens with the highest logits."""
        return logits.argmax(-1)


@dataclass(frozen=True)
class Sampled:
    """A draw from the model's distribution at a temperature (the theory's way)."""

    temperature: float = 1.0
    varies: ClassVar[bool] = True

    def draws(self, rows: int, steps: int, rng: Generator) -> Float[np.ndarray, "rows steps"]:
        """Return uniform draws from [0, 1)."""
        return rng.random((rows, steps))

    def pick(
        self, logits: Float[Tensor, "rows vocabulary"], draw: Float[Tensor, " rows"]
    ) -> Int[Tensor, " rows"]:
        """Return the tokens where the cumulative distribution passes the draws."""
        mass = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
        aim = draw[:, None].double() * mass[:, -1:]
        return torch.searchsorted(mass, aim, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


@torch.no_grad()
def complete(
    model: LanguageModel,
    prompts: Prompts,
    decoding: Decoding,
    rng: Generator,
    *,
    batch_tokens: int,
    max_tokens: int = TITLE_TOKENS,
) -> list[str]:
    """Return the title written for each prompt; a title ends at its closing quote or a line break.

    A row that is done leaves its batch. Titles longer than `max_tokens` are cut there.
    """
    model.network.eval()
    draws = torch.tensor(decoding.draws(len(prompts), max_tokens, rng), device=model.device)
    written: list[list[int]] = [[] for _ in prompts]
    with model.merged_adapters(), model.autocast():
        groups = microbatches([len(prompt) for prompt in prompts], batch_tokens)
        for group in track(groups, "writing titles", len(groups)):
            tokens = _write(model, [prompts[i] for i in group], decoding, draws[group])
            for number, title in zip(group, tokens, strict=True):
                written[number] = title
    return [model.prompt.title(text) for text in model.tokenizer.batch_decode(written)]


def _write(
    model: LanguageModel, prompts: Prompts, decoding: Decoding, draws: Float[Tensor, "rows steps"]
) -> list[list[int]]:
    """Return the tokens that answer each prompt; one that stands there several times is read once."""
    written: list[list[int]] = [[] for _ in prompts]
    alive = torch.arange(len(prompts), device=model.device)
    state, logits = model.prefill(prompts)
    for step in range(draws.shape[1]):
        tokens = decoding.pick(logits, draws[alive, step])
        for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
            written[row].append(token)
        going = (~model.stop_tokens[tokens]).nonzero()[:, 0]
        if not len(going) or step + 1 == draws.shape[1]:
            break
        if len(going) < len(tokens):
            alive, tokens, state = alive[going], tokens[going], state.select_rows(going)
        logits = state.step(tokens[:, None])
    return written


@torch.no_grad()
def beams(
    model: LanguageModel,
    prompts: Prompts,
    trie: Trie,
    *,
    k: int,
    batch_tokens: int,
    guidance: Guidance | None = None,
) -> tuple[Int[np.ndarray, "prompts k"], Float[np.ndarray, "prompts k"]]:
    """Return the k items that the model finds most probable, best first, and their log-probabilities in nats.

    Beam search of width k over the catalogue's token trie, without length normalisation (D3's constrained
    decoding), each prompt's keys held once. With `guidance` each prefix is scored by the model and another
    recommender together. Places without an item hold -1 and minus infinity.
    """
    model.network.eval()
    ids = np.full((len(prompts), k), -1)
    scores = np.full((len(prompts), k), -np.inf)
    with model.merged_adapters(), model.autocast():
        groups = microbatches([len(prompt) + BEAM_TOKENS * k for prompt in prompts], batch_tokens)
        for group in track(groups, "beam search", len(groups)):
            guides = guidance.of(group, trie.masses) if guidance else [ALONE] * len(group)
            lists = search(model, [prompts[i] for i in group], trie, k, guides)
            for number, found in zip(group, lists, strict=True):
                for place, (value, item) in enumerate(found):
                    ids[number, place], scores[number, place] = item, value
    return ids, scores
