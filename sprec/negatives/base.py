"""What a negative sampler is, and what it may ask for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NoReturn, Protocol, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import Generator
from numpy.typing import NDArray

from sprec.data.catalog import Catalog
from sprec.data.examples import Example
from sprec.evaluation.metrics import genre_masses
from sprec.generation.decoding import Decoding, search_titles, write_titles
from sprec.generation.grounding import Embedder, catalog_vectors, ground_titles
from sprec.generation.model_work import ModelWork
from sprec.generation.rankers import encode_prompts
from sprec.generation.title_trie import TitleTrie
from sprec.llm.language_model import LanguageModel
from sprec.negatives.hidden_states import mean_hidden_states

TitleLists: TypeAlias = list[list[str]]
"""The titles of each example, in the examples' order."""


@dataclass(frozen=True)
class SamplerContext:
    """What samplers sample from; the model is loaded, and titles are embedded, on demand.

    `popularity[i]` counts item i in the training rows, `genres` are the dataset's selected ones. `load`
    returns the model of the previous iteration, which writes titles as `decoding` says.
    """

    catalog: Catalog
    popularity: NDArray[np.int64]
    genres: tuple[str, ...]
    embedder: Embedder
    decoding: Decoding
    load: Callable[[], LanguageModel]
    batch_tokens: int

    @cached_property
    def model(self) -> LanguageModel:
        """The model, loaded once."""
        return self.load()

    @cached_property
    def trie(self) -> TitleTrie:
        """The catalogue's titles as the model's tokens."""
        return TitleTrie.of([self.model.encode_answer(title) for title in self.catalog.titles])

    @cached_property
    def vectors(self) -> Float[np.ndarray, "items size"]:
        """The unit vectors of the catalogue's titles."""
        return catalog_vectors(self.embedder, self.catalog.titles)

    @cached_property
    def masses(self) -> Float[np.ndarray, "items genres"]:
        """Each item's unit of mass, split over its selected genres."""
        return genre_masses(self.catalog.genres, self.genres)

    def ground(self, titles: Sequence[str], *, k: int) -> Int[np.ndarray, "titles k"]:
        """Return the k catalogue items nearest to each title, nearest first."""
        return ground_titles(titles, self.embedder, self.catalog.titles, k=k)

    def write_titles(self, examples: Sequence[Example], rng: Generator, *, count: int = 1) -> TitleLists:
        """Return `count` titles that the model writes for each example; empty ones and repeats stay."""
        texts = [text for text in encode_prompts(self.model, self.catalog, examples) for _ in range(count)]
        titles = write_titles(self.model, texts, self.decoding, rng, batch_tokens=self.batch_tokens)
        return [titles[start : start + count] for start in range(0, len(titles), count)]

    def best_items(self, examples: Sequence[Example], *, k: int) -> Int[np.ndarray, "examples k"]:
        """Return the k most probable items under the model, best first; -1 where there are fewer."""
        texts = encode_prompts(self.model, self.catalog, examples)
        return search_titles(self.model, texts, self.trie, k=k, batch_tokens=self.batch_tokens)[0]

    def mean_hidden_states(
        self, examples: Sequence[Example], answers: Sequence[Sequence[int]]
    ) -> Float[np.ndarray, "examples answers size"]:
        """Return the model's mean hidden state over each answer; equally many items answer each example."""
        rows = [
            # Under the prompt of preference tuning, whose effect these states foretell.
            self.model.encode(self.titles_of(example.history), self.titles_of(items), step="dpo")
            for example, items in zip(examples, answers, strict=True)
        ]
        return mean_hidden_states(self.model, rows, batch_tokens=self.batch_tokens)

    def unseen_items(self, example: Example) -> Int[np.ndarray, " unseen"]:
        """Return the items that are neither the example's target nor in its history, lowest id first."""
        return np.setdiff1d(np.arange(len(self.catalog)), [*example.history, example.target])

    def titles_of(self, items: Sequence[int] | Int[np.ndarray, " items"]) -> list[str]:
        """Return the titles of these items."""
        return [self.catalog.titles[item] for item in items]

    def in_top_genres(self, example: Example, top: int) -> Bool[np.ndarray, " items"]:
        """Return which items have a genre among the `top` that weigh most in the history.

        Genres of equal weight rank as the dataset names them; a genre without weight is never among them.
        """
        weights = self.masses[list(example.history)].sum(0)
        best = np.argsort(-weights, kind="stable")[:top]
        inside: Bool[np.ndarray, " items"] = self.masses[:, best[weights[best] > 0]].sum(1) > 0
        return inside


class NegativeSampler(Protocol):
    """Proposes the rejected titles of each example: a frozen dataclass, whose repr names its settings.

    A sampler that asks the model or the embedder says so in `work`, one that reads the selected genres in
    `uses_genres`: stage keys and estimates read them.
    """

    @property
    def count(self) -> int:
        """Titles wanted per example; an example that gets fewer is dropped and counted."""
        ...

    @property
    def work(self) -> ModelWork:
        """What is asked of the model and the embedder for an average example."""
        return ModelWork()

    @property
    def uses_model(self) -> bool:
        """Whether the model is asked for anything."""
        return self.work.uses_model

    @property
    def uses_decoding(self) -> bool:
        """Whether the model writes titles, as `decoding` says."""
        return self.work.titles > 0

    @property
    def uses_embeddings(self) -> bool:
        """Whether titles are embedded."""
        return self.work.embedded > 0

    @property
    def uses_genres(self) -> bool:
        """Whether the dataset's selected genres count."""
        return False

    @property
    def titles_per_prompt(self) -> int:
        """Different titles that the model must write for each example."""
        return int(self.uses_decoding)

    def __call__(self, examples: Sequence[Example], context: SamplerContext, rng: Generator) -> TitleLists:
        """Return up to `count` distinct titles per example, in the examples' order."""
        ...


class Undeclared:
    """Stands where a sampler would find what it does not declare, and refuses any use of it.

    The key of its stage does not hold it, so stored pairs would be reused after it has changed.
    """

    def __init__(self, sampler: NegativeSampler, what: str, where: str) -> None:
        self._message = (
            f"negatives: {type(sampler).__name__} asks for {what} and its `{where}` does not say so; "
            "declare it there"
        )

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError(self._message)

    __call__ = __getitem__ = __iter__ = __len__ = __contains__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name) if name.startswith("__") else ValueError(self._message)


def refuse_below_one(sampler: object, *names: str) -> None:
    """Raise `ValueError` if one of these settings of a sampler is below 1."""
    for name in names:
        if (value := getattr(sampler, name)) < 1:
            raise ValueError(f"negatives.{name} = {value} must be 1 or more")


def describe_sampler(sampler: NegativeSampler) -> str:
    """Return the sampler's name and those of its plain settings that are not the default.

    >>> from sprec.negatives import Popular
    >>> describe_sampler(Popular(count=3))
    'Popular count=3'
    """
    described: Any = sampler
    values = {field.name: (getattr(sampler, field.name), field.default) for field in fields(described)}
    plain = {name: pair for name, pair in values.items() if isinstance(pair[0], str | int | float)}
    settings = [f"{name}={value}" for name, (value, default) in plain.items() if value != default]
    return " ".join([type(sampler).__name__, *settings])
