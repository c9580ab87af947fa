"""Beam search over the catalogue's titles: exact scores, with a forward pass only where there is a choice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from sprec.generation.guidance import PromptGuidance
from sprec.generation.title_trie import TitleTrie
from sprec.llm.engines.interface import DecodingState
from sprec.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from torch import Tensor

ScoredItems = list[tuple[float, int]]  # score, item


@dataclass(frozen=True)
class Beam:
    """The beginning of a title: its score, its trie node and its last token.

    `row` is the beam's row in the current logits. `tail_log_probs` are the log-probabilities of the tokens
    that the catalogue forces to follow, once they have been computed; such a beam needs no row.
    """

    score: float
    node: int
    token: int
    row: int
    tail_log_probs: tuple[float, ...] = ()


def search_prompts(
    model: LanguageModel,
    prompts: Sequence[tuple[int, ...]],
    trie: TitleTrie,
    k: int,
    guidance: Sequence[PromptGuidance],
    excluded: Sequence[Collection[int]],
) -> list[ScoredItems]:
    """Return (score, item) of the k best titles of each prompt, best first.

    The beams are those of a search that goes token by token. Where the catalogue leaves only one way to go
    on, the rest of the title is scored in one pass.

    Args:
        model: what scores tokens, its adapters merged.
        prompts: the token ids of each prompt.
        trie: the titles that may be written.
        k: the width of the search, and the number of titles returned.
        guidance: what scores the tokens after each prompt.
        excluded: the items that must not be written after each prompt.

    """
    closed = [trie.nodes_without(items) for items in excluded]
    state, raw_logits = model.prefill(prompts)
    logits = _Logits.of(raw_logits)
    finished: list[ScoredItems] = [[] for _ in prompts]
    open_beams = [[Beam(0.0, 0, -1, row)] for row in range(len(prompts))]
    while any(open_beams):
        # All prompts advance by one token at a time: a title and a longer one compete at equal length,
        # as in a plain search, so precomputed tails change the number of passes and never the beams.
        open_beams = [
            _extend_beams(beams, logits, trie, titles, k, guide, nodes)
            for beams, titles, guide, nodes in zip(open_beams, finished, guidance, closed, strict=True)
        ]
        open_beams = _score_forced_tails(model, state, open_beams, trie)
        undecided = [beam for beam in chain.from_iterable(open_beams) if not beam.tail_log_probs]
        if undecided:
            state = state.select_rows(_tensor(model, [beam.row for beam in undecided]))
            logits = _Logits.of(state.step(_tensor(model, [[beam.token] for beam in undecided])))
            open_beams = _assign_rows(open_beams)
    return finished


@dataclass(frozen=True)
class _Logits:
    """Logits of rows and the logarithm of their normaliser, on the CPU where the trie is walked."""

    logits: Float[np.ndarray, "rows vocabulary"]
    normaliser: Float[np.ndarray, " rows"]

    @classmethod
    def of(cls, logits: Float[Tensor, "rows vocabulary"]) -> _Logits:
        """Return the logits of the model, with their normaliser."""
        return cls(logits.cpu().numpy(), logits.logsumexp(-1).cpu().double().numpy())

    def log_probs(self, row: int, tokens: Sequence[int]) -> Float[np.ndarray, " tokens"]:
        """Return the log-probabilities of some tokens in a row, in nats."""
        # A node has few children: normalising only their logits saves a log-softmax over the vocabulary.
        values: Float[np.ndarray, " tokens"] = (
            self.logits[row, tokens].astype(np.float64) - self.normaliser[row]
        )
        return values


def _tensor(model: LanguageModel, numbers: Any) -> Tensor:
    return torch.tensor(numbers, device=model.device)


def _extend_beams(
    beams: Sequence[Beam],
    logits: _Logits,
    trie: TitleTrie,
    finished: ScoredItems,
    k: int,
    guidance: PromptGuidance,
    closed: Collection[int],
) -> list[Beam]:
    """Return the k best beams one token longer that are still open; adds completed titles to `finished`.

    Args:
        beams: the open beams of one prompt.
        logits: the current logits, where beams without a scored tail have a row.
        trie: the titles that may be written.
        finished: the best completed titles of the prompt, changed in place.
        k: the width of the search.
        guidance: what scores the prompt's tokens.
        closed: the nodes that must not be entered.

    """
    candidates: list[tuple[float, int, int, Beam]] = []
    for beam in beams:
        children = {token: node for token, node in trie.children[beam.node].items() if node not in closed}
        if beam.tail_log_probs:
            log_probs = np.array(beam.tail_log_probs[:1])
        else:
            log_probs = logits.log_probs(beam.row, list(children))
        steps = guidance.score_tokens(log_probs, beam.node, list(children.values())).tolist()
        candidates += [
            (-beam.score - step, node, token, beam)
            for step, (token, node) in zip(steps, children.items(), strict=True)
        ]
    # Nodes differ between candidates, so they break equal scores the same way on every machine; beams,
    # which have no order, are never compared.
    extended = [
        replace(beam, score=-cost, node=node, token=token, tail_log_probs=beam.tail_log_probs[1:])
        for cost, node, token, beam in nsmallest(k, candidates)
    ]
    finished += [(beam.score, trie.items[beam.node]) for beam in extended if beam.node in trie.items]
    finished.sort(key=lambda pair: (-pair[0], pair[1]))
    del finished[k:]
    # Scores only fall as a title grows (log-probabilities are at most 0), so a beam below the k-th finished
    # title can never enter the list.
    floor = finished[-1][0] if len(finished) == k else -np.inf
    return [beam for beam in extended if beam.node not in trie.items and beam.score > floor]


def _score_forced_tails(
    model: LanguageModel, state: DecodingState, open_beams: list[list[Beam]], trie: TitleTrie
) -> list[list[Beam]]:
    """Return the beams; those whose next tokens are all forced get the log-probabilities of these tokens."""
    tails = {
        beam: tail
        for beam in chain.from_iterable(open_beams)
        # a tail of one token costs a row of the next pass either way
        if not beam.tail_log_probs and len(tail := trie.forced_tail(beam.node)) > 1
    }
    if not tails:
        return open_beams
    width = max(map(len, tails.values()))
    # Each row reads its beam's last token and all of its tail but the last token, which predicts nothing.
    # Filler on the right is harmless: attention is causal and its outputs are not used.
    inputs = [[beam.token, *tail[:-1]] + [0] * (width - len(tail)) for beam, tail in tails.items()]
    # `state` itself stays as it is: beams with a choice still step from it.
    rows = state.select_rows(_tensor(model, [beam.row for beam in tails]))
    lengths = _tensor(model, [len(tail) for tail in tails.values()])
    is_tail = torch.arange(width, device=model.device) < lengths[:, None]
    labels = _tensor(model, list(chain.from_iterable(tails.values())))
    values = iter(rows.tail_log_probs(_tensor(model, inputs), is_tail, labels).tolist())
    scored = {
        beam: replace(beam, tail_log_probs=tuple(next(values) for _ in tail)) for beam, tail in tails.items()
    }
    return [[scored.get(beam, beam) for beam in beams] for beams in open_beams]


def _assign_rows(open_beams: list[list[Beam]]) -> list[list[Beam]]:
    """Return the beams; those without a scored tail get their rows in the logits that were just computed."""
    # rows were stacked in this same order: prompt by prompt, beam by beam
    rows = iter(range(sum(map(len, open_beams))))
    return [
        [beam if beam.tail_log_probs else replace(beam, row=next(rows)) for beam in beams]
        for beams in open_beams
    ]
