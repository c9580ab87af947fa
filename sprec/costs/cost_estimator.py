"""The stages of a method, planned and priced: nothing is computed but lengths of a sample of rows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sprec.costs import pass_costs
from sprec.costs.machine_speed import MachineSpeed
from sprec.costs.pass_costs import NO_COST, Cost
from sprec.costs.row_tokenizer import RowTokenizer
from sprec.data.examples import Examples
from sprec.generation.decoding import MAX_TITLE_TOKENS, Decoding
from sprec.generation.rankers import Ranker
from sprec.llm.token_rows import TokenRow, microbatches, with_loss_on
from sprec.negatives import Beams, Ches, Mixture, NegativeSampler
from sprec.store.store import Stage, Store
from sprec.training.context import ModelState, StageContext, TestSetup
from sprec.training.counterfactual import Counterfactual
from sprec.training.row_sampling import RowSampling
from sprec.training.row_weights import RowWeighting
from sprec.training.stages import Stages
from sprec.training.trainer import Schedule

SAMPLE = 256
"""Rows whose tokens are counted; a stage with more rows costs so many times as much."""
FEW, MORE = 8, 136
"""Titles whose embedding is timed: the difference is what titles cost, the rest what a call costs."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a command: `seconds` that computing it took, None where it is not stored.

    `cost` is None where nothing is known: of recommenders without an LLM, and without a gauge.
    """

    label: str
    key: str
    seconds: float | None
    cost: Cost | None = None


@dataclass(frozen=True)
class CostModel:
    """What a price depends on beside the stage: how long texts are, and how fast the machine is."""

    tokens: RowTokenizer
    speed: MachineSpeed


@dataclass(frozen=True)
class TokenSample:
    """Some rows that stand for `times` as many; counting the tokens of all takes `seconds`."""

    rows: list[TokenRow]
    times: float
    seconds: float


class CostEstimator(Stages):
    """Goes through stages, which `planned` lists; with a gauge each has a cost."""

    def __init__(
        self, context: StageContext, store: Store, sizes: RowSampling, *, gauge: CostModel | None
    ) -> None:
        super().__init__(context, store, sizes, done=lambda *_: None, plan=True)
        self.gauge = gauge
        self.planned: list[PlannedStage] = []
        self._cataloged = False
        self._count = 1

    def sft(
        self,
        state: ModelState,
        iteration: int,
        schedule: Schedule,
        weighting: RowWeighting | None = None,
        counterfactual: Counterfactual | None = None,
    ) -> ModelState:
        """Return the planned model after SFT."""
        found = super().sft(state, iteration, schedule, weighting, counterfactual)
        reads = 2 if counterfactual else 1
        self._price(lambda gauge: self._tuned(gauge, self.rows(iteration), schedule, negatives=0) * reads)
        return found

    def negatives(
        self, state: ModelState, iteration: int, sampler: NegativeSampler, decoding: Decoding, **more: Any
    ) -> ModelState:
        """Return the planned pairs."""
        found = super().negatives(state, iteration, sampler, decoding, **more)
        self._count = sampler.count
        self._price(lambda gauge: self._sampled(gauge, self.rows(iteration), sampler))
        return found

    def dpo(
        self,
        state: ModelState,
        pairs: ModelState,
        iteration: int,
        schedule: Schedule,
        objective: partial[Tensor],
    ) -> ModelState:
        """Return the planned model after preference tuning; every row is taken to have its pair."""
        found = super().dpo(state, pairs, iteration, schedule, objective)
        self._price(lambda gauge: self._tuned(gauge, self.rows(iteration), schedule, negatives=self._count))
        return found

    def evaluate(self, state: ModelState, label: str, test: TestSetup, *rest: Any, **more: Any) -> Path:
        """Return the folder of the planned lists."""
        found = super().evaluate(state, label, test, *rest, **more)
        self._price(lambda gauge: self._ranked(gauge, self._split(test.split), test.ranker))
        return found

    def _run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> Path:
        found = self.store.run(stage, work) if self.store.has(stage) else None
        self.planned.append(PlannedStage(label, stage.key, found.seconds if found else None))
        return self.store.path(stage)

    def _price(self, priced: Callable[[CostModel], Cost]) -> None:
        """Give the stage planned last its cost."""
        if self.gauge is not None:
            self.planned[-1] = replace(self.planned[-1], cost=priced(self.gauge))

    def _sample(self, gauge: CostModel, rows: Examples, *, answers: int = 1) -> TokenSample:
        """Return evenly spaced rows as tokens; further answers are the targets of the rows that follow."""
        some = list(rows.take(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows)), dtype=int).tolist()))
        titles = self.context.dataset.catalog.titles
        start = time.perf_counter()
        encoded = [
            gauge.tokens.row(
                [titles[item] for item in example.history],
                [titles[some[(place + other) % len(some)].target] for other in range(answers)],
            )
            for place, example in enumerate(some)
        ]
        times = len(rows) / len(some)
        return TokenSample(encoded, times, (time.perf_counter() - start) * times)

    def _tuned(self, gauge: CostModel, rows: Examples, schedule: Schedule, *, negatives: int) -> Cost:
        """Return the cost of the reference's pass, where there are negatives, and of all optimiser steps."""
        shape, speed = gauge.tokens.shape, gauge.speed
        sample = self._sample(gauge, rows, answers=1 + negatives)
        learned = with_loss_on(sample.rows, schedule.loss_on)
        steps = [learned[at : at + schedule.batch_rows] for at in range(0, len(learned), schedule.batch_rows)]
        passes = [part for step in steps for part in split_into_passes(step, schedule.batch_tokens)]
        once = sum((pass_costs.training_pass(shape, part, speed) for part in passes), NO_COST)
        once += pass_costs.optimizer_step(shape, speed) * len(steps)
        reference = self._read(gauge, sample.rows) if negatives else NO_COST
        return (once * schedule.epochs + reference) * sample.times + pass_costs.timed(sample.seconds)

    def _read(self, gauge: CostModel, rows: Sequence[TokenRow]) -> Cost:
        passes = split_into_passes(rows, self.context.eval_batch_tokens)
        return sum(
            (pass_costs.forward_pass(gauge.tokens.shape, part, gauge.speed) for part in passes), NO_COST
        )

    def _sampled(self, gauge: CostModel, rows: Examples, sampler: NegativeSampler) -> Cost:
        """Return the cost of a sampler: of what it asks the model, and of the embeddings."""
        if isinstance(sampler, Mixture):
            whole = sum(sampler.shares.values())
            shares = [(sampler.shares[name] / whole, part) for name, part in sampler.parts.items()]
            return sum((self._sampled(gauge, rows, part) * share for share, part in shares), NO_COST)
        if isinstance(sampler, Ches):
            sample = self._sample(gauge, rows, answers=1 + sampler.candidates)
            return self._read(gauge, sample.rows) * sample.times + pass_costs.timed(sample.seconds)
        found = self._embedded(len(rows)) if sampler.uses_embeddings else NO_COST
        if sampler.uses_decoding:
            return found + self._written(gauge, rows) * sampler.count
        if not sampler.uses_model:
            return found
        width = (
            sampler.count + sampler.wrong_only
            if isinstance(sampler, Beams)
            else getattr(sampler, "width", sampler.count)
        )
        return found + self._written(gauge, rows, beams=width)

    def _ranked(self, gauge: CostModel, rows: Examples, ranker: Ranker) -> Cost:
        """Return the cost of a greedy title per row, of embedding it, and of the ranker's beams."""
        width = getattr(ranker, "width", 0)
        found = self._written(gauge, rows) + (
            self._embedded(len(rows)) if ranker.uses_embeddings else NO_COST
        )
        return found + (self._written(gauge, rows, beams=width) if width else NO_COST)

    def _written(self, gauge: CostModel, rows: Examples, *, beams: int = 1) -> Cost:
        """Return the cost of writing titles, taken to be as long as the true ones."""
        sample, found = self._sample(gauge, rows), NO_COST
        for part in split_into_passes(sample.rows, self.context.eval_batch_tokens // beams):
            lengths = [min(len(row.answers[0]), MAX_TITLE_TOKENS) for row in part]
            prompts = [row.prompt for row in part]
            found += pass_costs.write_titles(gauge.tokens.shape, prompts, lengths, gauge.speed, beams=beams)
        return found * sample.times + pass_costs.timed(sample.seconds)

    def _embedded(self, titles: int) -> Cost:
        """Return the cost of embedding so many titles, and at the first time the catalogue."""
        call, title = self._embedding_seconds
        catalog = 0 if self._cataloged else len(self.context.dataset.catalog)
        self._cataloged = True
        return pass_costs.timed(call + title * (titles + catalog))

    @cached_property
    def _embedding_seconds(self) -> tuple[float, float]:
        """Seconds of a call of the embedder, and of each title in it."""
        titles, spent = self.context.dataset.catalog.titles, []
        for count in (FEW, MORE):
            start = time.perf_counter()
            self.context.embedder.embed([titles[place % len(titles)] for place in range(count)])
            spent.append(time.perf_counter() - start)
        each = max(spent[1] - spent[0], 0.0) / (MORE - FEW)
        return max(spent[0] - FEW * each, 0.0), each


def split_into_passes(rows: Sequence[TokenRow], tokens: int) -> list[list[TokenRow]]:
    """Return the rows as passes take them."""
    return [[rows[i] for i in group] for group in microbatches([row.width for row in rows], tokens)]
