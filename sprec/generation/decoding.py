"""Writing titles: one per prompt, greedily or sampled, and the k best of the catalogue by beam search."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator

from sprec.generation.beam_search import search_prompts
from sprec.generation.finished_groups import compute_group
from sprec.generation.guidance import UNGUIDED, Guidance
from sprec.generation.title_trie import TitleTrie
from sprec.llm.adapters import merged_adapters
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import microbatches
from sprec.llm.tokenization import TitleState
from sprec.progress import track

if TYPE_CHECKING:
    from torch import Tensor

TokenPrompts = Sequence[tuple[int, ...]]
BEAM_TOKENS = 8
"""What each beam adds to its prompt's tokens when prompts are grouped: about one title."""


class Decoding(Protocol):
    """Picks the next token of each row; `is_random` where one prompt can get different titles."""

    is_random: ClassVar[bool]

    def uniforms(self, rows: int, steps: int, rng: Generator) -> Float[np.ndarray, "rows steps"]:
        """Return the uniform random numbers that each row will use, whatever batch the row ends up in."""
        ...

    def pick_tokens(
        self, logits: Float[Tensor, "rows vocabulary"], uniforms: Float[Tensor, " rows"]
    ) -> Int[Tensor, " rows"]:
        """Return one token per row."""
        ...


@dataclass(frozen=True)
class Greedy:
    """Always the most probable token (as released)."""

    is_random: ClassVar[bool] = False

    def uniforms(self, rows: int, steps: int, rng: Generator) -> Float[np.ndarray, "rows steps"]:
        """Return zeros; `rng` stays untouched."""
        return np.zeros((rows, steps))

    def pick_tokens(
        self, logits: Float[Tensor, "rows vocabulary"], uniforms: Float[Tensor, " rows"]
    ) -> Int[Tensor, " rows"]:
        """Return the tokens with the highest logits."""
        return logits.argmax(-1)


@dataclass(frozen=True)
class Sampled:
    """Samples from the model's distribution at a temperature (what the paper's theory assumes)."""

    temperature: float = 1.0
    is_random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(
                f"decoding.temperature = {self.temperature:g} is no temperature; take one above 0, "
                "or decoding=greedy"
            )

    def uniforms(self, rows: int, steps: int, rng: Generator) -> Float[np.ndarray, "rows steps"]:
        """Return uniform random numbers from [0, 1)."""
        return rng.random((rows, steps))

    def pick_tokens(
        self, logits: Float[Tensor, "rows vocabulary"], uniforms: Float[Tensor, " rows"]
    ) -> Int[Tensor, " rows"]:
        """Return the tokens at which the cumulative distribution passes the uniform numbers."""
        # inverse transform in float64: in float32 a cumulative sum over a vocabulary loses rare tokens
        cumulative = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
        # The last sum is 1 but for rounding.
        targets = uniforms[:, None].double() * cumulative[:, -1:]
        # `right`: a number of 0 must not pick a first token of probability 0.
        return torch.searchsorted(cumulative, targets, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def write_titles(
    model: LanguageModel,
    prompts: TokenPrompts,
    decoding: Decoding,
    rng: Generator,
    *,
    batch_tokens: int,
    max_tokens: int | None = None,
) -> list[str]:
    """Return the title written for each prompt; a title ends at its closing quote or a line break.

    Titles that do not end within `max_tokens` are cut there and counted (`PromptTokenizer.truncated_titles`).

    Args:
        model: what writes.
        prompts: the token ids of each prompt.
        decoding: how the next token is picked.
        rng: the source of all random numbers, used before the first title is written.
        batch_tokens: the most padded prompt tokens that are read in one pass.
        max_tokens: the longest title; None takes what the catalogue's longest title needs.

    """
    model.network.eval()
    longest = model.tokens.longest_title if max_tokens is None else max_tokens
    uniforms = torch.tensor(decoding.uniforms(len(prompts), longest, rng), device=model.device)
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.no_grad(), merged_adapters(model.network), model.autocast():
        groups = microbatches([len(prompt) for prompt in prompts], batch_tokens)
        for group in track(groups, "writing titles", len(groups)):
            tokens, cut = compute_group(
                partial(_write_group, model, [prompts[i] for i in group], decoding, uniforms[group]),
                prompts=[prompts[i] for i in group],
                decoding=repr(decoding),
                uniforms=uniforms[group].tolist(),
            )
            model.tokens.truncated_titles += cut
            for number, answer in zip(group, tokens, strict=True):
                answers[number] = answer
    return model.tokens.read_titles(answers)


def _write_group(
    model: LanguageModel, prompts: TokenPrompts, decoding: Decoding, uniforms: Float[Tensor, "rows steps"]
) -> tuple[list[list[int]], int]:
    """Return the tokens that answer each prompt, and how many answers were cut before their end."""
    answers: list[list[int]] = [[] for _ in prompts]
    rows = torch.arange(len(prompts), device=model.device)
    state, logits = model.prefill(prompts)
    rule = model.tokens.stop_rule(logits.shape[-1], model.device)
    reading = torch.full_like(rows, rule.start)
    for step in range(uniforms.shape[1]):
        tokens = decoding.pick_tokens(logits, uniforms[rows, step])
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            answers[row].append(token)
        reading = rule.table[reading, tokens].long()
        unfinished = (reading != TitleState.ENDED).nonzero()[:, 0]
        if not len(unfinished) or step + 1 == uniforms.shape[1]:
            break
        # A finished row leaves its batch at once: titles differ much in length, and a step costs by rows.
        if len(unfinished) < len(tokens):
            rows, tokens, reading = rows[unfinished], tokens[unfinished], reading[unfinished]
            state = state.select_rows(unfinished)
        logits = state.step(tokens[:, None])
    return answers, len(unfinished)


def search_titles(
    model: LanguageModel,
    prompts: TokenPrompts,
    trie: TitleTrie,
    *,
    k: int,
    batch_tokens: int,
    guidance: Guidance | None = None,
    excluded: Sequence[Collection[int]] | None = None,
) -> tuple[Int[np.ndarray, "prompts k"], Float[np.ndarray, "prompts k"]]:
    """Return the k items that beam search ranks first, best first, and their log-probabilities in nats.

    The search has width k and no length normalisation (D3's constrained decoding). Places without an item
    hold -1 and minus infinity.

    Args:
        model: what scores titles.
        prompts: the token ids of each prompt.
        trie: the titles that may be written.
        k: the width of the search and the length of the lists.
        batch_tokens: the most padded tokens, prompts and beams, in one pass.
        guidance: another recommender that scores every prefix together with the model.
        excluded: the items that each prompt's list must not hold; the search does not enter them, so that its
            width is the same for every prompt.

    """
    model.network.eval()
    excluded = [sorted(set(items)) for items in excluded] if excluded else [()] * len(prompts)
    ids = np.full((len(prompts), k), -1)
    scores = np.full((len(prompts), k), -np.inf)
    with torch.no_grad(), merged_adapters(model.network), model.autocast():
        groups = microbatches([len(prompt) + BEAM_TOKENS * k for prompt in prompts], batch_tokens)
        for group in track(groups, "beam search", len(groups)):
            guides = guidance.for_prompts(group, trie.sum_by_node) if guidance else [UNGUIDED] * len(group)
            left_out = [excluded[i] for i in group]
            lists = compute_group(
                partial(search_prompts, model, [prompts[i] for i in group], trie, k, guides, left_out),
                prompts=[prompts[i] for i in group],
                k=k,
                excluded=left_out,
                alpha=guides[0].alpha,
                # Guides follow a row's whole history, of which its prompt may hold the end alone.
                rows=list(map(int, group)) if guidance else None,
            )
            for number, scored_items in zip(group, lists, strict=True):
                for place, (score, item) in enumerate(scored_items):
                    ids[number, place], scores[number, place] = item, score
    return ids, scores
