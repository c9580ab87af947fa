"""What the stages share: the model between them, data, seeds, row counts, what is tested on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sprec.data.dataset import Dataset
from sprec.evaluation.evaluate import Ranker
from sprec.llm.decoding import Decoding
from sprec.llm.grounding import Embedder
from sprec.llm.recommender import Recommender
from sprec.training.negatives import Material


@dataclass(frozen=True)
class State:
    """A model between stages: key of the stage that made it, and where its files lie (None: untuned)."""

    key: str
    folder: Path | None


@dataclass(frozen=True)
class Sizes:
    """Rows per stage: `sft_rows` for the initial SFT, `iteration_rows` for each iteration; None takes all."""

    sft_rows: int | None
    iteration_rows: int | None


@dataclass(frozen=True)
class Engine:
    """What every stage shares: data, how a model is loaded, seeds, and numbers that change results.

    `whole` is the digest of the dataset before rows were drawn for validation and test: all that training
    depends on.
    `reading_tokens` bounds the padded tokens of a pass that keeps no gradients.
    """

    dataset: Dataset
    whole: str
    load: Callable[[], Recommender]
    embedder: Embedder
    seed: int
    reading_tokens: int
    numerics: Mapping[str, Any]
    trainer: Mapping[str, Any]

    @cached_property
    def model(self) -> Recommender:
        """The recommender, loaded when the first stage needs it."""
        return self.load()

    def material(self, state: State, decoding: Decoding) -> Material:
        """Return what negatives are drawn from, `state` being the model that may be asked."""
        return Material(
            catalog=self.dataset.catalog,
            popularity=self.dataset.popularity,
            genres=self.dataset.genres,
            embedder=self.embedder,
            decoding=decoding,
            load=lambda: self.model.load(state.folder),
            batch_tokens=self.reading_tokens,
        )


@dataclass(frozen=True)
class Test:
    """What is tested on: the rows of `split`, ranked by `ranker` in lists of `k`."""

    ranker: Ranker
    split: str
    k: int

    __test__ = False  # pytest
