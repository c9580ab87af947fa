"""Rankers: from an example to ranked catalogue ids."""

import logging
from collections.abc import Callable, Sequence
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
from sprec.generation.decoding import Greedy, search_titles, write_titles
from sprec.generation.grounding import Embedder, ground_titles
from sprec.generation.guidance import Guidance
from sprec.generation.model_work import ModelWork
from sprec.generation.title_trie import TitleTrie
from sprec.llm.language_model import LanguageModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankingTask:
    """What is ranked: one list of the `catalog` for each of the `examples`.

    `written` are the titles that the model writes greedily, one for each example. `load` gives the model;
    a ranker that needs no more of it than those titles leaves it alone. `batch_tokens` bounds the padded
    tokens of a pass.
    """

    catalog: Catalog
    examples: Sequence[Example]
    written: Sequence[str]
    load: Callable[[], LanguageModel]
    batch_tokens: int


class Assistant(Protocol):
    """A recommender of item ids that a ranker consults, trained before the ranker runs."""

    def describe(self) -> dict[str, Any]:
        """Return all that the trained recommender depends on besides data and seed."""
        ...

    def train(self, dataset: Dataset, folder: Path, *, rng: Generator) -> None:
        """Train on the training rows and write the weights into the folder."""
        ...


class Ranker(Protocol):
    """Ranks the catalogue for each example; records call the kind of ranking by `name`."""

    name: ClassVar[str]
    uses_embeddings: ClassVar[bool]

    @property
    def work(self) -> ModelWork:
        """What is asked of the model and the embedder for an example, beside its greedy title."""
        return ModelWork(embedded=int(self.uses_embeddings))

    def work_for(self, k: int) -> ModelWork:
        """Return the work for an example's list of k."""
        return self.work

    @property
    def assistant(self) -> Assistant | None:
        """The recommender that has to be trained first, or None."""
        return None

    def check_length(self, k: int) -> None:
        """Raise `ValueError` where lists of k cannot be made with these settings."""

    def with_assistant(self, folder: Path) -> "Ranker":
        """Return the ranker that consults the assistant whose weights lie in the folder."""
        return self

    def __call__(self, task: RankingTask, *, k: int) -> Int[np.ndarray, "users k"]:
        """Return k ids per example, best first."""
        ...


class Baseline(Protocol):
    """Ranks the catalogue for each row without an LLM, after training on the dataset's training rows."""

    def __call__(
        self, dataset: Dataset, rows: Examples, *, k: int, rng: Generator
    ) -> Int[np.ndarray, "users k"]:
        """Return k item ids per row, best first."""
        ...


def encode_prompts(
    model: LanguageModel, catalog: Catalog, examples: Sequence[Example]
) -> list[tuple[int, ...]]:
    """Return the prompt tokens of each example."""
    return [model.encode([catalog.titles[i] for i in example.history]).prompt for example in examples]


def write_greedily(
    model: LanguageModel, catalog: Catalog, examples: Sequence[Example], *, batch_tokens: int
) -> list[str]:
    """Return the title that the model writes for each example when left free, always its likeliest token."""
    prompts = encode_prompts(model, catalog, examples)
    # greedy decoding takes nothing from the generator
    return write_titles(model, prompts, Greedy(), np.random.default_rng(0), batch_tokens=batch_tokens)


@dataclass(frozen=True)
class GroundedRanker(Ranker):
    """The paper's ranking: the catalogue titles nearest to the one greedy title."""

    embedder: Embedder
    exclude_history: bool = False
    name: ClassVar[str] = "grounded"
    uses_embeddings: ClassVar[bool] = True

    def __call__(self, task: RankingTask, *, k: int) -> Int[np.ndarray, "users k"]:
        """Return the k items nearest to the written title."""
        histories = [example.history for example in task.examples]
        # wider by the longest history, since all of it may have to be left out
        wide = k + max(map(len, histories)) * self.exclude_history
        ids = ground_titles(task.written, self.embedder, task.catalog.titles, k=wide)
        return without_history(ids, histories, k=k) if self.exclude_history else ids


@dataclass(frozen=True)
class BeamRanker(Ranker):
    """The most probable items by beam search over the catalogue's titles (D3's decoding)."""

    width: int = 10
    exclude_history: bool = False
    name: ClassVar[str] = "beam"
    uses_embeddings: ClassVar[bool] = False

    @property
    def work(self) -> ModelWork:
        """The beam search."""
        return self.work_for(self.width)

    def work_for(self, k: int) -> ModelWork:
        """Return the beam search for a list of k, which is as wide as the list is long."""
        return ModelWork(beam_widths={max(k, self.width): 1.0})

    def beams(self, k: int) -> int:
        """Return the width of the search for lists of k: at least k, so that every place is filled."""
        if k > self.width:
            log.info("beam search: %d beams, as lists are longer than ranking.width=%d", k, self.width)
        return max(k, self.width)

    def guidance(self, catalog: Catalog, examples: Sequence[Example]) -> Guidance | None:
        """Return what scores prefixes together with the model, or None."""
        return None

    def __call__(self, task: RankingTask, *, k: int) -> Int[np.ndarray, "users k"]:
        """Return the k best beams; -1 only where the catalogue has no more items."""
        model, catalog, examples = task.load(), task.catalog, task.examples
        best, _ = search_titles(
            model,
            encode_prompts(model, catalog, examples),
            TitleTrie.of([model.encode_answer(title) for title in catalog.titles]),
            k=self.beams(k),
            batch_tokens=task.batch_tokens,
            guidance=self.guidance(catalog, examples),
            excluded=[example.history for example in examples] if self.exclude_history else None,
        )
        return best[:, :k]
