"""Beam search over the catalogue's titles: exact scores, with a pass only where there is a choice."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sprec.generation.guidance import Guide
from sprec.llm.engines.fast.decoding_state import FastDecodingState
from sprec.llm.language_model import LanguageModel


@dataclass
class Trie:
    """The catalogue's titles as token paths: `children[node]` maps token to node, `items[leaf]` to item.

    `sharing[node]` are the items whose path goes through the node: all of them at the root.
    """

    children: list[dict[int, int]] = field(default_factory=lambda: [{}])
    items: dict[int, int] = field(default_factory=dict)
    sharing: list[list[int]] = field(default_factory=lambda: [[]])

    @classmethod
    def of(cls, paths: Sequence[tuple[int, ...]]) -> "Trie":
        """Return the trie of these paths, item i at the end of path i; equal paths keep the first item."""
        trie = cls()
        for item, path in enumerate(paths):
            node = 0
            trie.sharing[0].append(item)
            for token in path:
                node = trie.children[node].setdefault(token, len(trie.children))
                if node == len(trie.children):
                    trie.children.append({})
                    trie.sharing.append([])
                trie.sharing[node].append(item)
            trie.items.setdefault(node, item)
        return trie

    def tail(self, node: int) -> tuple[int, ...]:
        """Return the tokens that lead from a node to its one item, none where there is a choice on the way.

        >>> Trie.of([(1, 2, 3), (1, 4)]).tail(2), Trie.of([(1, 2, 3), (1, 4)]).tail(1)
        ((3,), ())
        """
        tokens: list[int] = []
        while node not in self.items:
            if len(self.children[node]) != 1:
                return ()
            ((token, node),) = self.children[node].items()
            tokens.append(token)
        return tuple(tokens)

    def masses(self, values: Float[np.ndarray, "rows items"]) -> Float[np.ndarray, "rows nodes"]:
        """Return the sum of values over the items that share each node's prefix.

        >>> Trie.of([(1, 2), (1, 3), (4,)]).masses(np.array([[0.5, 0.25, 0.25]])).tolist()
        [[1.0, 0.75, 0.5, 0.25, 0.25]]
        """
        starts = np.cumsum([0, *(len(items) for items in self.sharing[:-1])])
        found: Float[np.ndarray, "rows nodes"] = np.add.reduceat(
            values[:, list(chain.from_iterable(self.sharing))], starts, axis=1
        )
        return found


@dataclass(frozen=True)
class Beam:
    """A beginning of a title: its score, its node, and what is known of what follows.

    `token` is the last one, `row` the place of its scores; `told` are the log-probabilities of the tokens
    that must follow, once they are known.
    """

    value: float
    node: int
    token: int
    row: int
    told: tuple[float, ...] = ()


Found = list[tuple[float, int]]  # score, item


def search(
    model: LanguageModel, prompts: Sequence[tuple[int, ...]], trie: Trie, k: int, guides: Sequence[Guide]
) -> list[list[tuple[float, int]]]:
    """Return (score, item) of the k best titles of each prompt, best first; its guide scores each step.

    The beams are those of a search token by token. Where the catalogue leaves one way on, the rest of a title
    is scored in one pass.
    """
    state, logits = model.prefill(prompts)
    scores = _scores(logits)
    done: list[Found] = [[] for _ in prompts]
    going = [[Beam(0.0, 0, -1, row)] for row in range(len(prompts))]
    while any(going):
        going = [
            _grow(beams, scores, trie, found, k, guide)
            for beams, found, guide in zip(going, done, guides, strict=True)
        ]
        going = _told(model, state, going, trie)
        open_rows = [beam for beam in chain.from_iterable(going) if not beam.told]
        if open_rows:
            state = state.select_rows(_long(model, [beam.row for beam in open_rows]))
            scores = _scores(state.step(_long(model, [[beam.token] for beam in open_rows])))
            going = _numbered(going)
    return done


@dataclass(frozen=True)
class _Scores:
    """Logits of rows, and the logarithm of their normaliser."""

    logits: Float[np.ndarray, "rows vocabulary"]
    total: Float[np.ndarray, " rows"]

    def of(self, row: int, tokens: Sequence[int]) -> Float[np.ndarray, " tokens"]:
        """Return log-probabilities of some tokens in a row."""
        found: Float[np.ndarray, " tokens"] = self.logits[row, tokens].astype(np.float64) - self.total[row]
        return found


def _scores(logits: Float[Tensor, "rows vocabulary"]) -> _Scores:
    return _Scores(logits.cpu().numpy(), logits.logsumexp(-1).cpu().double().numpy())


def _long(model: LanguageModel, numbers: Any) -> Tensor:
    return torch.tensor(numbers, device=model.device)


def _grow(
    beams: Sequence[Beam], scores: _Scores, trie: Trie, found: Found, k: int, guide: Guide
) -> list[Beam]:
    """Return the beams that go on after one more token; finished titles go to `found`, best first."""
    ways: list[tuple[float, int, int, Beam]] = []
    for beam in beams:
        children = trie.children[beam.node]
        told = np.array(beam.told[:1]) if beam.told else scores.of(beam.row, list(children))
        values = guide.step(told, beam.node, list(children.values())).tolist()
        ways += [
            (-beam.value - value, node, token, beam)
            for value, (token, node) in zip(values, children.items(), strict=True)
        ]
    grown = [
        replace(beam, value=-cost, node=node, token=token, told=beam.told[1:])
        for cost, node, token, beam in nsmallest(k, ways)
    ]
    found += [(beam.value, trie.items[beam.node]) for beam in grown if beam.node in trie.items]
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    del found[k:]
    floor = found[-1][0] if len(found) == k else -np.inf
    return [beam for beam in grown if beam.node not in trie.items and beam.value > floor]


def _told(
    model: LanguageModel, state: FastDecodingState, going: list[list[Beam]], trie: Trie
) -> list[list[Beam]]:
    """Return the beams, those with one way on told the log-probabilities of all that follows."""
    tails = {
        beam: tail
        for beam in chain.from_iterable(going)
        if not beam.told and len(tail := trie.tail(beam.node)) > 1
    }
    if not tails:
        return going
    width = max(map(len, tails.values()))
    read = [[beam.token, *tail[:-1]] + [0] * (width - len(tail)) for beam, tail in tails.items()]
    rows = state.select_rows(_long(model, [beam.row for beam in tails]))
    lengths = _long(model, [len(tail) for tail in tails.values()])
    places = torch.arange(width, device=model.device) < lengths[:, None]
    labels = _long(model, list(chain.from_iterable(tails.values())))
    values = iter(rows.tail_log_probs(_long(model, read), places, labels).tolist())
    known = {beam: replace(beam, told=tuple(next(values) for _ in tail)) for beam, tail in tails.items()}
    return [[known.get(beam, beam) for beam in beams] for beams in going]


def _numbered(going: list[list[Beam]]) -> list[list[Beam]]:
    """Return the beams, those that are not told numbered in their order as rows of the next scores."""
    rows = iter(range(sum(map(len, going))))
    return [[beam if beam.told else replace(beam, row=next(rows)) for beam in beams] for beams in going]
