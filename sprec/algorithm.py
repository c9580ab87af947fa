"""SPRec's loop (Gao et al. 2025, algorithm 1): the file to read first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from sprec.generation.decoding import Decoding
from sprec.generation.rankers import Baseline, Ranker
from sprec.negatives import NegativeSampler, describe_sampler
from sprec.training.context import ModelState, TestSetup
from sprec.training.counterfactual import Counterfactual
from sprec.training.row_weights import RowWeighting
from sprec.training.stages import Stages
from sprec.training.trainer import Schedule


@dataclass(frozen=True)
class SelfPlayAlgorithm:
    """What one arm does: which steps an iteration has, where its rejected titles come from, and its loss."""

    iterations: int
    with_sft: bool
    with_dpo: bool
    keep_pairs_equal_to_target: bool
    objective: partial[Tensor]  # of log-probabilities, as `Objective`
    weighting: RowWeighting | None  # of SFT rows
    counterfactual: Counterfactual | None  # what SFT scores titles by, beside their likelihood
    negatives: NegativeSampler
    decoding: Decoding
    initial: Schedule
    sft: Schedule
    dpo: Schedule

    @property
    def rejected(self) -> str:
        """What rejected titles come from: sampler, and decoding where it writes; "none" without any."""
        if not self.with_dpo:
            return "none"
        decoding = f" {type(self.decoding).__name__}" if self.negatives.uses_decoding else ""
        return describe_sampler(self.negatives) + decoding

    def ranking(self, ranker: Ranker) -> str:
        """Return what ranks the catalogue."""
        return ranker.name

    def states(self, stages: Stages, base: ModelState) -> Iterator[tuple[str, int, ModelState]]:
        """Yield the model after the initial SFT and after each iteration."""
        model = stages.sft(base, 0, self.initial, self.weighting, self.counterfactual)
        yield "initial_sft", 0, model
        for iteration in range(1, self.iterations + 1):
            previous = model
            if self.with_sft:
                model = stages.sft(model, iteration, self.sft, self.weighting, self.counterfactual)
            if self.with_dpo:
                pairs = stages.negatives(
                    previous,
                    iteration,
                    self.negatives,
                    self.decoding,
                    keep_pairs_equal_to_target=self.keep_pairs_equal_to_target,
                )
                model = stages.dpo(model, pairs, iteration, self.dpo, self.objective)
            yield f"iteration_{iteration}", iteration, model

    def evaluations(
        self, stages: Stages, base: ModelState, test: TestSetup
    ) -> Iterator[tuple[str, int, Path]]:
        """Yield label, iteration and folder of the ranked lists after each state."""
        assistant = stages.assistant(test)
        for label, iteration, state in self.states(stages, base):
            yield label, iteration, stages.evaluate(state, label, test, assistant)


@dataclass(frozen=True)
class BaselineAlgorithm:
    """An arm that ranks item ids and has nothing to iterate."""

    name: str
    baseline: Baseline
    settings: Mapping[str, Any]  # all that the baseline depends on beside the data
    iterations: int = 0
    rejected: str = "none"

    def ranking(self, ranker: Ranker) -> str:
        """Return what ranks the catalogue, whatever ranks it for an LLM."""
        return "all items"

    def evaluations(
        self, stages: Stages, base: ModelState, test: TestSetup
    ) -> Iterator[tuple[str, int, Path]]:
        """Yield the folder of the ranked lists."""
        yield self.name, 0, stages.baseline(self.name, self.baseline, self.settings, test)
