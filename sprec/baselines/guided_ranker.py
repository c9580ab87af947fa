"""D3's ranking: beam search guided by a recommender of item ids (Bao et al. 2024)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy.random import Generator
from safetensors.torch import load_file, save_file

from sprec.baselines.sequential import FitSettings, NextItemModel, fit, score_items
from sprec.data.catalog import Catalog
from sprec.data.dataset import Dataset
from sprec.data.examples import Example
from sprec.generation.guidance import Guidance
from sprec.generation.rankers import BeamRanker

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class CollaborativeModel:
    """A model of item ids, such as SASRec, trained as it is when it stands alone."""

    model: partial[NextItemModel]
    settings: FitSettings

    def describe(self) -> dict[str, Any]:
        """Return all that the trained model depends on besides data and seed."""
        name = f"{self.model.func.__module__}.{self.model.func.__qualname__}"
        return {"model": name, **self.model.keywords, "fit": asdict(self.settings)}

    def train(self, dataset: Dataset, folder: Path, *, rng: Generator) -> None:
        """Train on the training rows, stop on all validation rows, and write the weights."""
        model = self.model(len(dataset.catalog), rng=rng)
        fit(model, dataset.split.train, dataset.stopping_rows, self.settings, rng=rng)
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)

    def probabilities(
        self, folder: Path, examples: Sequence[Example], *, items: int
    ) -> Float[np.ndarray, "users items"]:
        """Return each user's probability of every item, by the model whose weights lie in the folder."""
        model = self.model(items, rng=np.random.default_rng(0))  # initial weights are all overwritten
        model.load_state_dict(load_file(folder / WEIGHTS))
        logits = score_items(model, [example.history for example in examples])
        probabilities: Float[np.ndarray, "users items"] = logits.double().softmax(1).numpy()
        return probabilities


@dataclass(frozen=True, kw_only=True)
class GuidedRanker(BeamRanker):
    """The best of `width` beams by α log p_LLM + (1−α) log p_CF of every prefix.

    With `alpha` 1 nobody else is consulted: the plain beam search. Lists hold at most `width` items.
    SPRec's released code runs D3 with `width` 1 and `alpha` 1, and lists of one item.
    """

    collaborative: CollaborativeModel = field(repr=False)  # in stage keys its own stage stands for it
    alpha: float
    folder: Path | None = field(default=None, repr=False)
    name: ClassVar[str] = "guided"

    @property
    def assistant(self) -> CollaborativeModel | None:
        """The model that is trained first, or None where its weight is 0."""
        return self.collaborative if self.alpha < 1 else None

    def with_assistant(self, folder: Path) -> "GuidedRanker":
        """Return the ranker that consults the assistant whose weights lie in the folder."""
        return replace(self, folder=folder)

    def check_length(self, k: int) -> None:
        """Raise `ValueError` for lists longer than `width`, which would have empty places."""
        if k > self.width:
            raise ValueError(
                f"ranking=guided with ranking.width={self.width} leaves places of a list of {k} empty; "
                f"take ranking.width={k} or more, or lists of {self.width} at most (cutoffs=[{self.width}])"
            )

    def beams(self, k: int) -> int:
        """Return `width`; `ValueError` where a list of k is longer."""
        self.check_length(k)
        return self.width

    def guidance(self, catalog: Catalog, examples: Sequence[Example]) -> Guidance | None:
        """Return the assistant's probabilities with the LLM's weight; None without an assistant."""
        if self.folder is None:
            return None
        probabilities = self.collaborative.probabilities(self.folder, examples, items=len(catalog))
        return Guidance(probabilities, self.alpha)
