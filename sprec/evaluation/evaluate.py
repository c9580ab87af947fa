"""Rankers: from an example to ranked catalogue ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from sprec.data.catalog import Catalog
from sprec.data.dataset import Dataset
from sprec.data.examples import Example, Examples
from sprec.evaluation.lists import without_history
from sprec.llm.decoding import Greedy, Trie, beams, complete
from sprec.llm.grounding import Embedder, catalog_vectors, nearest
from sprec.llm.recommender import Recommender


@dataclass(frozen=True)
class Ranked:
    """Lists of item ids, best first, and the title that each was made from (empty for a search)."""

    ids: Int[np.ndarray, "users k"]
    written: list[str]


class Ranker(Protocol):
    """Ranks the catalogue for each example."""

    uses_embeddings: ClassVar[bool]

    def __call__(
        self, model: Recommender, catalog: Catalog, examples: Sequence[Example], *, k: int, batch_tokens: int
    ) -> Ranked:
        """Return k ids per example."""
        ...


class Baseline(Protocol):
    """Ranks the catalogue for each row without an LLM; what it learns from are the training rows."""

    def __call__(
        self, dataset: Dataset, rows: Examples, *, k: int, rng: Generator
    ) -> Int[np.ndarray, "users k"]:
        """Return k item ids per row, best first."""
        ...


def prompts(model: Recommender, catalog: Catalog, examples: Sequence[Example]) -> list[tuple[int, ...]]:
    """Return the prompt tokens of each example."""
    return [model.encode([catalog.titles[i] for i in example.history]).prompt for example in examples]


def _greedy(model: Recommender, texts: Sequence[tuple[int, ...]], *, batch_tokens: int) -> list[str]:
    """Return the greedy title for each prompt."""
    return complete(model, texts, Greedy(), np.random.default_rng(0), batch_tokens=batch_tokens)


@dataclass(frozen=True)
class Grounded:
    """The paper's way: the catalogue titles nearest to the one greedy title."""

    embedder: Embedder
    exclude_history: bool = False
    uses_embeddings: ClassVar[bool] = True

    def __call__(
        self, model: Recommender, catalog: Catalog, examples: Sequence[Example], *, k: int, batch_tokens: int
    ) -> Ranked:
        """Return the k nearest items of the written title."""
        written = _greedy(model, prompts(model, catalog, examples), batch_tokens=batch_tokens)
        wide = k + _longest(examples) * self.exclude_history
        ids = nearest_items(written, self.embedder, catalog.titles, k=wide)
        return Ranked(_left(ids, examples, k=k) if self.exclude_history else ids, written)


@dataclass(frozen=True)
class Beam:
    """The k most probable items by beam search over the catalogue's titles (D3's decoding)."""

    width: int = 10
    exclude_history: bool = False
    uses_embeddings: ClassVar[bool] = False

    def __call__(
        self, model: Recommender, catalog: Catalog, examples: Sequence[Example], *, k: int, batch_tokens: int
    ) -> Ranked:
        """Return the k best of `width` beams, or of more where histories are left out."""
        texts = prompts(model, catalog, examples)
        trie = Trie.of([model.answer(title) for title in catalog.titles])
        wide = max(k, self.width) + _longest(examples) * self.exclude_history
        ids, _ = beams(model, texts, trie, k=wide, batch_tokens=batch_tokens)
        kept = _left(ids, examples, k=k) if self.exclude_history else ids[:, :k]
        return Ranked(kept, _greedy(model, texts, batch_tokens=batch_tokens))


def nearest_items(
    written: Sequence[str], embedder: Embedder, titles: Sequence[str], *, k: int
) -> Int[np.ndarray, "written k"]:
    """Return the k nearest titles of each written one; equal ones are embedded and ranked once."""
    distinct = sorted(set(written))
    near = nearest(embedder.embed(distinct), catalog_vectors(embedder, titles), k=k)
    place = {title: row for row, title in enumerate(distinct)}
    return near[[place[title] for title in written]]


def _longest(examples: Sequence[Example]) -> int:
    return max(len(example.history) for example in examples)


def _left(
    ids: Int[np.ndarray, "users wide"], examples: Sequence[Example], *, k: int
) -> Int[np.ndarray, "users k"]:
    """Return the first k ids of each list that are not in its user's history."""
    return without_history(ids, [example.history for example in examples], k=k)
