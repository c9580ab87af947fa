"""SPRec's algorithm 1 (Gao et al. 2025, section 4): the file to read first.

What a step computes is in `sprec.training.stages`, DPO's loss in `sprec.training.objectives`, where rejected
titles come from in `sprec.negatives`, and how a model is tested in `sprec.training.ranking_stages`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sprec.generation.decoding import Decoding
from sprec.generation.rankers import Baseline, Ranker
from sprec.negatives import NegativeSampler, describe_sampler
from sprec.training.context import ModelState, TestSetup
from sprec.training.counterfactual import Counterfactual
from sprec.training.ranking_stages import RankingStages
from sprec.training.row_weights import RowWeighting
from sprec.training.schedule import Schedule
from sprec.training.stages import Stages

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SelfPlayAlgorithm:
    """An arm that tunes an LLM: the steps of an iteration, where its rejected titles come from, its loss."""

    iterations: int
    with_sft: bool
    with_dpo: bool
    keep_pairs_equal_to_target: bool
    accumulate_pairs: bool  # preference tuning reads the previous iteration's pairs as well
    objective: partial[Tensor]  # an `Objective` with its settings
    weighting: RowWeighting | None  # weighs the rows of SFT
    counterfactual: Counterfactual | None  # adds the history's effect to SFT's likelihood
    negatives: NegativeSampler
    decoding: Decoding
    initial: Schedule
    sft: Schedule
    dpo: Schedule

    @property
    def uses_negatives(self) -> bool:
        """Whether any pair is made."""
        return self.with_dpo and self.iterations > 0

    @property
    def negatives_label(self) -> str:
        """What rejected titles come from: the sampler, and the decoding where titles are written."""
        if not self.uses_negatives:
            return "none"
        decoding = f" {type(self.decoding).__name__}" if self.negatives.uses_decoding else ""
        return describe_sampler(self.negatives) + decoding

    def ranking_label(self, ranker: Ranker) -> str:
        """Return what ranks the catalogue."""
        return ranker.name

    def train(self, stages: Stages, base: ModelState) -> Iterator[tuple[str, int, ModelState]]:
        """Yield π₀, then πᵢ for each iteration i = 1, …, T, each with its label and i."""
        policy = self._sft(stages, base, 0)  # π₀: the initial SFT of the base LLM
        yield "initial_sft", 0, policy
        earlier: ModelState | None = None
        for iteration in range(1, self.iterations + 1):  # for i = 1, …, T
            previous = policy  # πᵢ₋₁ writes the rejected titles: not the policy after this iteration's SFT
            if self.with_sft:
                policy = self._sft(stages, policy, iteration)  # SFT on the positives of the iteration's rows
            if self.with_dpo:
                pairs = stages.negatives(  # self-play: a rejected title beside the true one of each row
                    previous,
                    iteration,
                    self.negatives,
                    self.decoding,
                    keep_pairs_equal_to_target=self.keep_pairs_equal_to_target,
                )
                # DPO; its reference is the policy after πᵢ's SFT
                policy = stages.dpo(policy, pairs, iteration, self.dpo, self.objective, earlier=earlier)
                earlier = pairs if self.accumulate_pairs else None
            yield f"iteration_{iteration}", iteration, policy

    def _sft(self, stages: Stages, policy: ModelState, iteration: int) -> ModelState:
        schedule = self.sft if iteration else self.initial
        return stages.sft(policy, iteration, schedule, self.weighting, self.counterfactual)

    def train_and_rank(
        self, stages: RankingStages, base: ModelState, test: TestSetup
    ) -> Iterator[tuple[str, int, Path]]:
        """Yield label, iteration and folder of the ranked lists of each model.

        Raises `ValueError` before any training where the arm goes by genres and the dataset has none, or
        where it asks for more rejected titles than there are.
        """
        sampler = self.negatives if self.uses_negatives else None
        stages.require_genres(self.weighting, sampler)
        stages.require_items(sampler)
        assistant = stages.assistant(test)
        for label, iteration, policy in self.train(stages, base):
            yield label, iteration, stages.evaluate(policy, label, test, assistant)


@dataclass(frozen=True)
class BaselineAlgorithm:
    """An arm without an LLM: it ranks item ids and has nothing to iterate."""

    name: str
    baseline: Baseline
    settings: Mapping[str, Any]  # all that the baseline depends on beside the data
    iterations: int = 0
    negatives_label: str = "none"

    def ranking_label(self, ranker: Ranker) -> str:
        """Return what ranks the catalogue, whatever ranks it for an LLM."""
        return "all items"

    def train_and_rank(
        self, stages: RankingStages, base: ModelState, test: TestSetup
    ) -> Iterator[tuple[str, int, Path]]:
        """Yield the folder of the ranked lists."""
        yield self.name, 0, stages.baseline(self.name, self.baseline, self.settings, test)
