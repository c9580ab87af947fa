"""Writing titles: one per prompt, greedily or sampled, and the K best of the catalogue by beam search."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor
from transformers import DynamicCache

from sprec.llm.batches import microbatches
from sprec.llm.guidance import ALONE, Guidance, Guide
from sprec.llm.progress import track
from sprec.llm.recommender import Recommender

Prompts = Sequence[tuple[int, ...]]
TITLE_TOKENS = 32
"""The longest title that is written, in tokens (released inference)."""


class Decoding(Protocol):
    """Picks the next token of each row."""

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


@dataclass
class _Reading:
    """The state of prompts being answered: cache, which keys are real, next position, last logits."""

    cache: DynamicCache
    seen: Tensor
    position: Tensor
    logits: Tensor

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order, repeated where named twice."""
        self.cache.batch_select_indices(rows)
        self.seen, self.position = self.seen[rows], self.position[rows]


def _read(model: Recommender, prompts: Prompts) -> _Reading:
    """Read the prompts; what they share is read once."""
    cache, seen, last = model.read(prompts)
    return _Reading(cache, seen, seen.sum(1), model.base.lm_head(last).float())


def _advance(model: Recommender, state: _Reading, tokens: Int[Tensor, " rows"]) -> None:
    """Read one more token per row."""
    state.seen = torch.cat([state.seen, state.seen.new_ones(len(tokens), 1)], dim=1)
    hidden = model.base.model(
        tokens[:, None],
        attention_mask=state.seen[:, None, None],
        position_ids=state.position[:, None],
        past_key_values=state.cache,
        use_cache=True,
    ).last_hidden_state
    state.position = state.position + 1
    state.logits = model.base.lm_head(hidden[:, 0]).float()


@torch.no_grad()
def complete(
    model: Recommender,
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
    model.model.eval()
    draws = torch.tensor(decoding.draws(len(prompts), max_tokens, rng), device=model.device)
    written: list[list[int]] = [[] for _ in prompts]
    with model.merged(), model.computing():
        groups = microbatches([len(prompt) for prompt in prompts], batch_tokens)
        for group in track(groups, "writing titles", len(groups)):
            _write(model, _read(model, [prompts[i] for i in group]), decoding, draws[group], group, written)
    return [model.prompt.title(text) for text in model.tokenizer.batch_decode(written)]


def _write(
    model: Recommender,
    state: _Reading,
    decoding: Decoding,
    draws: Float[Tensor, "rows steps"],
    group: list[int],
    written: list[list[int]],
) -> None:
    """Append the tokens of each row of the group to `written`."""
    alive = torch.arange(len(group), device=model.device)
    for step in range(draws.shape[1]):
        tokens = decoding.pick(state.logits, draws[alive, step])
        going = ~model.stops[tokens]
        for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
            written[group[row]].append(token)
        if not going.any() or step + 1 == draws.shape[1]:
            return
        alive, tokens = alive[going], tokens[going]
        if not bool(going.all()):
            state.select(going.nonzero()[:, 0])
        _advance(model, state, tokens)


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


Beam = tuple[float, int, int, int]  # score, row of the state, token, node


@torch.no_grad()
def beams(
    model: Recommender,
    prompts: Prompts,
    trie: Trie,
    *,
    k: int,
    batch_tokens: int,
    guidance: Guidance | None = None,
) -> tuple[Int[np.ndarray, "prompts k"], Float[np.ndarray, "prompts k"]]:
    """Return the k items that the model finds most probable, best first, and their log-probabilities in nats.

    Beam search of width k over the catalogue's token trie, without length normalisation (D3's constrained
    decoding). With `guidance` each prefix is scored by the model and another recommender together. Places
    without an item hold -1 and minus infinity.
    """
    model.model.eval()
    ids = np.full((len(prompts), k), -1)
    scores = np.full((len(prompts), k), -np.inf)
    with model.merged(), model.computing():
        groups = microbatches([len(prompt) for prompt in prompts], max(batch_tokens // k, 1))
        for group in track(groups, "beam search", len(groups)):
            guides = guidance.of(group, trie.masses) if guidance else [ALONE] * len(group)
            lists = _search(model, [prompts[i] for i in group], trie, k, guides)
            for number, found in zip(group, lists, strict=True):
                for place, (value, item) in enumerate(found):
                    ids[number, place], scores[number, place] = item, value
    return ids, scores


def _search(
    model: Recommender, prompts: Prompts, trie: Trie, k: int, guides: Sequence[Guide]
) -> list[list[tuple[float, int]]]:
    """Return (score, item) of the k best titles of each prompt."""
    state = _read(model, prompts)
    done: list[list[tuple[float, int]]] = [[] for _ in prompts]
    going: list[list[Beam]] = [[(0.0, row, -1, 0)] for row in range(len(prompts))]
    while any(going):
        table = state.logits.log_softmax(-1).cpu().numpy()
        going = [
            _grow(kept, table, trie, found, k, guide)
            for kept, found, guide in zip(going, done, guides, strict=True)
        ]
        flat = list(chain.from_iterable(going))
        if flat:
            state.select(torch.tensor([row for _, row, _, _ in flat], device=model.device))
            _advance(model, state, torch.tensor([token for _, _, token, _ in flat], device=model.device))
            places = iter(range(len(flat)))
            going = [[(value, next(places), token, node) for value, _, token, node in kept] for kept in going]
    return done


def _grow(
    kept: Sequence[Beam],
    table: Float[np.ndarray, "rows vocabulary"],
    trie: Trie,
    found: list[tuple[float, int]],
    k: int,
    guide: Guide,
) -> list[Beam]:
    """Return the beams that go on after one more token; finished titles go to `found`, best first."""
    grown: list[Beam] = []
    for value, row, _, node in kept:
        tokens, nodes = list(trie.children[node]), list(trie.children[node].values())
        best = (value + guide.step(table[row, tokens].astype(np.float64), node, nodes)).tolist()
        grown += [(score, row, *move) for score, *move in zip(best, tokens, nodes, strict=True)]
    grown = sorted(grown, key=lambda beam: (-beam[0], beam[3]))[:k]
    found += [(value, trie.items[node]) for value, _, _, node in grown if node in trie.items]
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    del found[k:]
    floor = found[-1][0] if len(found) == k else -np.inf
    return [beam for beam in grown if beam[3] not in trie.items and beam[0] > floor]
