"""What the stages share: data, seeds, the model between them, what is tested on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sprec.data.dataset import Dataset
from sprec.data.examples import Examples
from sprec.generation.decoding import Decoding
from sprec.generation.grounding import Embedder
from sprec.generation.rankers import Ranker
from sprec.llm.language_model import LanguageModel
from sprec.negatives import NegativeSampler, SamplerContext
from sprec.negatives.base import Undeclared

StepWatcher = Callable[[str, int, Mapping[str, float]], None]
"""Called with a stage's label, the number of an optimiser step from 1, and what the step reports."""


def ignore_step(label: str, step: int, values: Mapping[str, float]) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class ModelState:
    """A model between stages: the key of the stage that made it, and its folder (None: untuned)."""

    key: str
    folder: Path | None

    @property
    def folder_of_stage(self) -> Path:
        """The folder, where there is one."""
        assert self.folder is not None, "an untuned model has no stage"
        return self.folder


@dataclass(frozen=True)
class StageContext:
    """What every stage shares: data, how a model is loaded, seeds, and numbers that change results.

    `model_code` are the functions and objects that make the model and its prompts: their code is part of the
    key of every stage that uses the model. `eval_batch_tokens` bounds the padded tokens of a pass without
    gradients. `load_inference_model` loads the copy that writes and ranks titles, where that computes in
    another precision than training. `engine` describes what computes the model; empty where there is
    none. `on_step` watches tuning in this process while it goes on.
    """

    dataset: Dataset
    load: Callable[[], LanguageModel]
    embedder: Embedder
    seed: int
    eval_batch_tokens: int
    numerics: Mapping[str, Any]
    trainer: Mapping[str, Any]
    load_inference_model: Callable[[], LanguageModel] | None = None
    checkpoint_minutes: float = 5.0
    engine: Mapping[str, Any] = field(default_factory=dict)
    model_code: tuple[object, ...] = ()
    on_step: StepWatcher = ignore_step

    @cached_property
    def model(self) -> LanguageModel:
        """The model that is trained, loaded when the first stage needs it."""
        return self.load()

    @cached_property
    def inference_model(self) -> LanguageModel:
        """The model that writes and ranks titles: the one that is trained, unless it has a copy."""
        return self.load_inference_model() if self.load_inference_model else self.model

    def sampler_context(
        self, policy: ModelState, decoding: Decoding, sampler: NegativeSampler
    ) -> SamplerContext:
        """Return what negatives are sampled from; samplers may ask the policy, loaded on demand.

        What the sampler does not declare is refused when it is asked for.
        """

        def declared(value: Any, what: str, where: str, *, is_used: bool) -> Any:
            return value if is_used else Undeclared(sampler, what, where)

        return SamplerContext(
            catalog=self.dataset.catalog,
            popularity=self.dataset.popularity,
            genres=declared(self.dataset.genres, "genres", "uses_genres", is_used=sampler.uses_genres),
            embedder=declared(self.embedder, "embeddings", "work", is_used=sampler.uses_embeddings),
            decoding=declared(decoding, "titles", "work", is_used=sampler.uses_decoding),
            load=declared(
                lambda: self.inference_model.load(policy.folder),
                *("the model", "work"),
                is_used=sampler.uses_model,
            ),
            batch_tokens=self.eval_batch_tokens,
        )


@dataclass(frozen=True)
class TestSetup:
    """What is tested: lists of `k` items that `ranker` makes for the rows of `split`."""

    ranker: Ranker
    split: str
    k: int

    __test__ = False  # pytest would collect it

    def rows(self, dataset: Dataset) -> Examples:
        """Return the rows that are tested on."""
        rows: Examples = getattr(dataset.split, self.split)
        return rows
