"""D3's ranking: beam search in which a recommender of item ids has a say (Bao et al. 2024)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy.random import Generator
from safetensors.torch import load_file, save_file

from sprec.baselines.sequential import Fit, NextItem, fit, scores
from sprec.data.catalog import Catalog
from sprec.data.dataset import Dataset
from sprec.data.examples import Example
from sprec.generation.guidance import Guidance
from sprec.generation.rankers import Ranked, Ranker, search
from sprec.llm.language_model import LanguageModel

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Collaborative:
    """A model of item ids, such as SASRec, trained as when it stands alone and kept for whoever asks it."""

    model: partial[NextItem]
    settings: Fit

    def described(self) -> dict[str, Any]:
        """Return all that the trained model depends on beside data and seed."""
        made = f"{self.model.func.__module__}.{self.model.func.__qualname__}"
        return {"model": made, **self.model.keywords, "fit": asdict(self.settings)}

    def train(self, dataset: Dataset, folder: Path, *, rng: Generator) -> None:
        """Train on the training rows, stop on the validation rows, and write the weights."""
        model = self.model(len(dataset.catalog), rng=rng)
        fit(model, dataset.split.train, dataset.split.valid, self.settings, rng=rng)
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)

    def probabilities(
        self, folder: Path, examples: Sequence[Example], *, items: int
    ) -> Float[np.ndarray, "users items"]:
        """Return each user's probability of every item, by the model whose weights lie in the folder."""
        model = self.model(items, rng=np.random.default_rng(0))
        model.load_state_dict(load_file(folder / WEIGHTS))
        logits = scores(model, [example.history for example in examples])
        found: Float[np.ndarray, "users items"] = logits.double().softmax(1).numpy()
        return found


@dataclass(frozen=True)
class Guided(Ranker):
    """The best of `width` beams by α log p_LLM + (1−α) log p_CF of every prefix.

    `alpha` 1 asks nobody: the plain beam search. A list holds `width` items at most, then empty places, so
    `width` 1 is D3 as SPRec's released code runs it (with `alpha` 1).
    """

    collaborative: Collaborative = field(repr=False)  # its stage stands for it in keys
    alpha: float
    width: int = 10
    exclude_history: bool = False
    folder: Path | None = field(default=None, repr=False)
    uses_embeddings: ClassVar[bool] = False

    @property
    def assistant(self) -> Collaborative | None:
        """What is trained first, or None where it has no say."""
        return self.collaborative if self.alpha < 1 else None

    def assisted(self, folder: Path) -> "Guided":
        """Return the ranker that asks the assistant whose weights lie in the folder."""
        return replace(self, folder=folder)

    def __call__(
        self,
        model: LanguageModel,
        catalog: Catalog,
        examples: Sequence[Example],
        *,
        k: int,
        batch_tokens: int,
    ) -> Ranked:
        """Return the first k of the best `width` items, of more where histories are left out."""
        guidance = None
        if self.folder is not None:
            asked = self.collaborative.probabilities(self.folder, examples, items=len(catalog))
            guidance = Guidance(asked, self.alpha)
        return search(
            model,
            catalog,
            examples,
            k=k,
            width=self.width,
            batch_tokens=batch_tokens,
            exclude_history=self.exclude_history,
            guidance=guidance,
        )
