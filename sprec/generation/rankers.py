"""Rankers: from an example to ranked catalogue ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from sprec.data.catalog import Catalog
from sprec.data.dataset import Dataset
from sprec.data.examples import Example, Examples
from sprec.evaluation.metrics import without_history
from sprec.generation.decoding import Greedy, Trie, beams, complete
from sprec.generation.grounding import Embedder, catalog_vectors, nearest
from sprec.generation.guidance import Guidance
from sprec.llm.language_model import LanguageModel


@dataclass(frozen=True)
class Ranked:
    """Lists of item ids, best first, and the title that each was made from (empty for a search)."""

    ids: Int[np.ndarray, "users k"]
    written: list[str]


class Assistant(Protocol):
    """A recommender of item ids that a ranker asks, trained before it ranks."""

    def described(self) -> dict[str, Any]:
        """Return all that the trained recommender depends on beside data and seed."""
        ...

    def train(self, dataset: Dataset, folder: Path, *, rng: Generator) -> None:
        """Learn from the training rows and write what was learned into the folder."""
        ...


class Ranker(Protocol):
    """Ranks the catalogue for each example."""

    uses_embeddings: ClassVar[bool]

    @property
    def assistant(self) -> Assistant | None:
        """What has to be trained first, or None."""
        return None

    def assisted(self, folder: Path) -> "Ranker":
        """Return the ranker that asks what its assistant learned."""
        return self

    def __call__(
        self,
        model: LanguageModel,
        catalog: Catalog,
        examples: Sequence[Example],
        *,
        k: int,
        batch_tokens: int,
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


def prompts(model: LanguageModel, catalog: Catalog, examples: Sequence[Example]) -> list[tuple[int, ...]]:
    """Return the prompt tokens of each example."""
    return [model.encode([catalog.titles[i] for i in example.history]).prompt for example in examples]


def _greedy(model: LanguageModel, texts: Sequence[tuple[int, ...]], *, batch_tokens: int) -> list[str]:
    """Return the greedy title for each prompt."""
    return complete(model, texts, Greedy(), np.random.default_rng(0), batch_tokens=batch_tokens)


@dataclass(frozen=True)
class Grounded(Ranker):
    """The paper's way: the catalogue titles nearest to the one greedy title."""

    embedder: Embedder
    exclude_history: bool = False
    uses_embeddings: ClassVar[bool] = True

    def __call__(
        self,
        model: LanguageModel,
        catalog: Catalog,
        examples: Sequence[Example],
        *,
        k: int,
        batch_tokens: int,
    ) -> Ranked:
        """Return the k nearest items of the written title."""
        written = _greedy(model, prompts(model, catalog, examples), batch_tokens=batch_tokens)
        wide = k + _longest(examples) * self.exclude_history
        ids = nearest_items(written, self.embedder, catalog.titles, k=wide)
        return Ranked(_left(ids, examples, k=k) if self.exclude_history else ids, written)


@dataclass(frozen=True)
class Beam(Ranker):
    """The k most probable items by beam search over the catalogue's titles (D3's decoding)."""

    width: int = 10
    exclude_history: bool = False
    uses_embeddings: ClassVar[bool] = False

    def __call__(
        self,
        model: LanguageModel,
        catalog: Catalog,
        examples: Sequence[Example],
        *,
        k: int,
        batch_tokens: int,
    ) -> Ranked:
        """Return the k best of `width` beams, or of more where histories are left out."""
        return search(
            model,
            catalog,
            examples,
            k=k,
            width=max(k, self.width),
            batch_tokens=batch_tokens,
            exclude_history=self.exclude_history,
        )


def search(
    model: LanguageModel,
    catalog: Catalog,
    examples: Sequence[Example],
    *,
    k: int,
    width: int,
    batch_tokens: int,
    exclude_history: bool,
    guidance: Guidance | None = None,
) -> Ranked:
    """Return the first k of the best `width` items by beam search, and -1 where `width` is less than k.

    Where histories are left out, the search is wider by the longest one. The written titles are the greedy
    ones, which are bound to no catalogue.
    """
    texts = prompts(model, catalog, examples)
    trie = Trie.of([model.encode_answer(title) for title in catalog.titles])
    wide, size = width + _longest(examples) * exclude_history, min(k, width)
    found, _ = beams(model, texts, trie, k=wide, batch_tokens=batch_tokens, guidance=guidance)
    kept = _left(found, examples, k=size) if exclude_history else found[:, :size]
    ids = np.pad(kept, ((0, 0), (0, k - size)), constant_values=-1)
    return Ranked(ids, _greedy(model, texts, batch_tokens=batch_tokens))


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
