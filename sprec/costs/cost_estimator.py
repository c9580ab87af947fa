"""The stages of a method with what they cost: nothing is computed but the lengths of a sample of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sprec.costs import pass_costs
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed
from sprec.costs.pass_costs import NO_COST, Cost
from sprec.data.examples import Examples
from sprec.generation.decoding import Decoding
from sprec.llm.token_rows import TokenRow, microbatches, with_loss_on
from sprec.llm.tokenization import PromptTokenizer
from sprec.negatives import ModelWork, NegativeSampler
from sprec.store.store import Stage, Store
from sprec.training.context import ModelState, StageContext, TestSetup
from sprec.training.counterfactual import Counterfactual
from sprec.training.ranking_stages import RankingStages
from sprec.training.row_sampling import RowSampling
from sprec.training.row_weights import RowWeighting
from sprec.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_ROWS = 256
"""Rows whose tokens are counted; a stage with more rows costs so many times as much."""
FEW, MORE = 8, 136
"""Titles whose embedding is timed: the difference is what titles cost, the rest what a call costs."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a command: `seconds` that computing it took, None where it is not stored.

    `cost` is None where nothing is known: without a cost model, and of recommenders without an LLM.
    """

    label: str
    key: str
    seconds: float | None
    cost: Cost | None = None


@dataclass(frozen=True)
class CostModel:
    """What a cost depends on beside the stage: how long texts are, and how fast the machine is.

    Tuning shares its rows among `devices`; writing and ranking run on one. With `checkpointing` a training
    pass computes each layer twice. With `answers_apart`, the plain engine's way, a prompt is read once for
    each of its answers.
    """

    tokens: PromptTokenizer
    shape: ModelShape
    speed: MachineSpeed
    devices: int = 1
    checkpointing: bool = False
    answers_apart: bool = False

    def passes(self, rows: Sequence[TokenRow], tokens: int) -> list[list[TokenRow]]:
        """Return the rows as the model's passes over at most so many tokens read them."""
        if self.answers_apart:
            rows = [TokenRow(row.prompt, (answer,)) for row in rows for answer in row.answers]
        return split_into_passes(rows, tokens)


@dataclass(frozen=True)
class TokenSample:
    """Rows that stand for `times` as many; encoding all of those takes `seconds`."""

    rows: list[TokenRow]
    times: float
    seconds: float


class CostEstimator(RankingStages):
    """Goes through stages without computing them; `planned` lists each, with its cost if there is a model."""

    def __init__(
        self, context: StageContext, store: Store, row_sampling: RowSampling, *, model: CostModel | None
    ) -> None:
        super().__init__(context, store, row_sampling, on_result=lambda *_: None)
        self.model = model
        self.planned: list[PlannedStage] = []
        # Vectors of the catalogue are kept for the run, so only its first use pays for them.
        self._catalog_embedded = False
        # `dpo` is not told how many titles its pairs reject; the last sampler says it.
        self._rejected_titles = 1

    def sft(
        self,
        policy: ModelState,
        iteration: int,
        schedule: Schedule,
        weighting: RowWeighting | None = None,
        counterfactual: Counterfactual | None = None,
    ) -> ModelState:
        """Return the planned model after SFT."""
        state = super().sft(policy, iteration, schedule, weighting, counterfactual)
        rows, passes = self.rows(iteration), 2 if counterfactual else 1
        self._add_cost(
            lambda model: (
                (self._training(model, rows, schedule, negatives=0) + self._validation(model, rows, schedule))
                * passes
            )
        )
        return state

    def negatives(
        self, policy: ModelState, iteration: int, sampler: NegativeSampler, decoding: Decoding, **more: Any
    ) -> ModelState:
        """Return the planned pairs."""
        pairs = super().negatives(policy, iteration, sampler, decoding, **more)
        self._rejected_titles = sampler.count
        self._add_cost(lambda model: self._generation(model, self.rows(iteration), sampler.work))
        return pairs

    def dpo(
        self,
        policy: ModelState,
        pairs: ModelState,
        iteration: int,
        schedule: Schedule,
        objective: partial[Tensor],
        *,
        earlier: ModelState | None = None,
    ) -> ModelState:
        """Return the planned model after preference tuning, as if no pair were dropped."""
        state = super().dpo(policy, pairs, iteration, schedule, objective, earlier=earlier)
        rows, count = self.rows(iteration), self._rejected_titles
        times = 2.0 if earlier else 1.0  # another iteration has as many rows
        self._add_cost(lambda model: self._training(model, rows, schedule, negatives=count) * times)
        return state

    def evaluate(self, policy: ModelState, label: str, test: TestSetup, *rest: Any, **more: Any) -> Path:
        """Return the folder of the planned lists."""
        folder = super().evaluate(policy, label, test, *rest, **more)
        rows, work = test.rows(self.context.dataset), test.ranker.work_for(test.k)
        self._add_cost(lambda model: self._generation(model, rows, work))
        return folder

    def titles(self, policy: ModelState, label: str, test: TestSetup) -> ModelState:
        """Return the planned titles."""
        titles, rows = super().titles(policy, label, test), test.rows(self.context.dataset)
        self._add_cost(lambda model: self._generation(model, rows, ModelWork(titles=1)))
        return titles

    def run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> ModelState:
        """Plan the stage in place of running it."""
        stored = self.store.find(stage)
        key, folder = (stored.key, stored.path) if stored else (stage.key, self.store.path(stage))
        self.planned.append(PlannedStage(label, key, stored.seconds if stored else None))
        return ModelState(key, folder)

    def _add_cost(self, estimate: Callable[[CostModel], Cost]) -> None:
        """Add the cost of the stage planned last."""
        if self.model is not None:
            self.planned[-1] = replace(self.planned[-1], cost=estimate(self.model))

    def _sample(self, model: CostModel, rows: Examples, *, answers: int = 1) -> TokenSample:
        """Return evenly spaced rows as tokens; answers after the first are the targets of the next rows."""
        count = min(SAMPLE_ROWS, len(rows))
        examples = list(rows.take(np.linspace(0, len(rows) - 1, count, dtype=int).tolist()))
        titles = self.context.dataset.catalog.titles
        start = time.perf_counter()
        encoded = [
            model.tokens.encode(
                [titles[item] for item in example.history],
                [titles[examples[(place + other) % count].target] for other in range(answers)],
            )
            for place, example in enumerate(examples)
        ]
        times = len(rows) / count
        return TokenSample(encoded, times, (time.perf_counter() - start) * times)

    def _training(self, model: CostModel, rows: Examples, schedule: Schedule, *, negatives: int) -> Cost:
        """Return the cost of the reference's pass, where there are negatives, and of all optimiser steps."""
        shape, size = model.shape, schedule.batch_rows
        speed = replace(model.speed, devices=model.devices)
        sample = self._sample(model, rows, answers=1 + negatives)
        predicted = with_loss_on(sample.rows, schedule.loss_on)
        steps = [predicted[start : start + size] for start in range(0, len(predicted), size)]
        passes = [batch for step in steps for batch in model.passes(step, schedule.batch_tokens)]
        epoch = sum((pass_costs.training_pass(shape, batch, speed) for batch in passes), NO_COST)
        if model.checkpointing:
            epoch += sum((pass_costs.forward_pass(shape, batch, speed) for batch in passes), NO_COST)
        epoch += pass_costs.optimizer_step(shape, speed) * len(steps)
        reference = self._forward(model, sample.rows) if negatives else NO_COST
        return (epoch * schedule.epochs + reference) * sample.times + pass_costs.timed(sample.seconds)

    def _validation(self, model: CostModel, rows: Examples, schedule: Schedule) -> Cost:
        """Return the cost of reading the validation rows each time that the weights are judged by them."""
        every, steps = schedule.eval_every, schedule.epochs * -(-len(rows) // schedule.batch_rows)
        if every is None or steps <= every:
            return NO_COST
        sample = self._sample(model, self.context.dataset.split.valid)
        # Each `every` steps, and after the last.
        return self._forward(model, sample.rows) * (sample.times * -(-steps // every))

    def _forward(self, model: CostModel, rows: Sequence[TokenRow]) -> Cost:
        shape, passes = model.shape, model.passes(rows, self.context.eval_batch_tokens)
        return sum((pass_costs.forward_pass(shape, batch, model.speed) for batch in passes), NO_COST)

    def _generation(self, model: CostModel, rows: Examples, work: ModelWork) -> Cost:
        """Return the cost of what a sampler or a ranker asks of the model and the embedder."""
        cost = self._embedding(work.embedded * len(rows)) if work.embedded else NO_COST
        cost += self._writing(model, rows) * work.titles if work.titles else NO_COST
        for width, share in work.beam_widths.items():
            cost += self._writing(model, rows, beams=width) * share
        for answers, share in work.scored_answers.items():
            sample = self._sample(model, rows, answers=answers)
            scoring = self._forward(model, sample.rows) * sample.times + pass_costs.timed(sample.seconds)
            cost += scoring * share
        return cost

    def _writing(self, model: CostModel, rows: Examples, *, beams: int = 1) -> Cost:
        """Return the cost of writing a title per row and beam, as long as the true ones."""
        sample, cost = self._sample(model, rows), NO_COST
        for batch in split_into_passes(sample.rows, self.context.eval_batch_tokens // beams):
            lengths = [len(row.answers[0]) for row in batch]
            prompts = [row.prompt for row in batch]
            cost += pass_costs.write_titles(model.shape, prompts, lengths, model.speed, beams=beams)
        return cost * sample.times + pass_costs.timed(sample.seconds)

    def _embedding(self, titles: float) -> Cost:
        """Return the cost of embedding so many titles, and the first time the catalogue too."""
        call, title = self._embedding_seconds
        catalog = 0 if self._catalog_embedded else len(self.context.dataset.catalog)
        self._catalog_embedded = True
        return pass_costs.timed(call + title * (titles + catalog))

    @cached_property
    def _embedding_seconds(self) -> tuple[float, float]:
        """Seconds of a call of the embedder, and of each title in it."""
        titles, seconds = self.context.dataset.catalog.titles, []
        for count in (FEW, MORE):
            start = time.perf_counter()
            self.context.embedder.embed([titles[place % len(titles)] for place in range(count)])
            seconds.append(time.perf_counter() - start)
        per_title = max(seconds[1] - seconds[0], 0.0) / (MORE - FEW)
        return max(seconds[0] - FEW * per_title, 0.0), per_title


def split_into_passes(rows: Sequence[TokenRow], tokens: int) -> list[list[TokenRow]]:
    """Return the rows grouped as a model's passes take them."""
    return [[rows[i] for i in group] for group in microbatches([row.width for row in rows], tokens)]
