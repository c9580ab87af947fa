"""What the stages share: the model between them, data, seeds, what is tested on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sprec.data.dataset import Dataset
from sprec.generation.decoding import Decoding
from sprec.generation.grounding import Embedder
from sprec.generation.rankers import Ranker
from sprec.llm.language_model import LanguageModel
from sprec.negatives import SamplerContext


@dataclass(frozen=True)
class ModelState:
    """A model between stages: key of the stage that made it, and where its files lie (None: untuned)."""

    key: str
    folder: Path | None


@dataclass(frozen=True)
class StageContext:
    """What every stage shares: data, how a model is loaded, seeds, and numbers that change results.

    `whole` is the digest of the dataset before rows were drawn for validation and test: all that training
    depends on.
    `eval_batch_tokens` bounds the padded tokens of a pass without gradients. `load_inference_model` loads
    the copy that writes and ranks titles, where that computes in another precision than training.
    """

    dataset: Dataset
    whole: str
    load: Callable[[], LanguageModel]
    embedder: Embedder
    seed: int
    eval_batch_tokens: int
    numerics: Mapping[str, Any]
    trainer: Mapping[str, Any]
    load_inference_model: Callable[[], LanguageModel] | None = None

    @cached_property
    def model(self) -> LanguageModel:
        """The recommender, loaded when the first stage needs it."""
        return self.load()

    @cached_property
    def inference_model(self) -> LanguageModel:
        """The recommender that writes and ranks titles: the one that is tuned, unless it has a copy."""
        return self.load_inference_model() if self.load_inference_model else self.model

    def sampler_context(self, state: ModelState, decoding: Decoding) -> SamplerContext:
        """Return what negatives are drawn from, `state` being the model that may be asked."""
        return SamplerContext(
            catalog=self.dataset.catalog,
            popularity=self.dataset.popularity,
            genres=self.dataset.genres,
            embedder=self.embedder,
            decoding=decoding,
            load=lambda: self.inference_model.load(state.folder),
            batch_tokens=self.eval_batch_tokens,
        )


@dataclass(frozen=True)
class TestSetup:
    """What is tested on: the rows of `split`, ranked by `ranker` in lists of `k`."""

    ranker: Ranker
    split: str
    k: int

    __test__ = False  # pytest
