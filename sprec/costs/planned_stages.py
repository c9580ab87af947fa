"""The stages of a method, planned and priced: nothing is computed but lengths of a sample of rows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sprec.costs import cost
from sprec.costs.cost import NOTHING, Cost
from sprec.costs.machine_speed import Speed
from sprec.costs.tokens import Tokens
from sprec.data.examples import Examples
from sprec.generation.decoding import TITLE_TOKENS, Decoding
from sprec.generation.rankers import Ranker
from sprec.llm.token_rows import TokenRow, microbatches, with_loss_on
from sprec.negatives import Beams, Ches, Mixture, NegativeSampler
from sprec.store.store import Stage, Store
from sprec.training.counterfactual import Counterfactual
from sprec.training.engine import Engine, State, Test
from sprec.training.row_sampling import Sizes
from sprec.training.row_weights import Weighting
from sprec.training.stages import Stages
from sprec.training.trainer import Schedule

SAMPLE = 256
"""Rows whose tokens are counted; a stage with more rows costs so many times as much."""
FEW, MORE = 8, 136
"""Titles whose embedding is timed: the difference is what titles cost, the rest what a call costs."""


@dataclass(frozen=True)
class Planned:
    """A stage of a command: `seconds` that computing it took, None where it is not stored.

    `cost` is None where nothing is known: of recommenders without an LLM, and without a gauge.
    """

    label: str
    key: str
    seconds: float | None
    cost: Cost | None = None


@dataclass(frozen=True)
class Gauge:
    """What a price depends on beside the stage: how long texts are, and how fast the machine is."""

    tokens: Tokens
    speed: Speed


@dataclass(frozen=True)
class Sample:
    """Some rows that stand for `times` as many; counting the tokens of all takes `seconds`."""

    rows: list[TokenRow]
    times: float
    seconds: float


class Priced(Stages):
    """Goes through stages, which `planned` lists; with a gauge each has a cost."""

    def __init__(self, engine: Engine, store: Store, sizes: Sizes, *, gauge: Gauge | None) -> None:
        super().__init__(engine, store, sizes, done=lambda *_: None, plan=True)
        self.gauge = gauge
        self.planned: list[Planned] = []
        self._cataloged = False
        self._count = 1

    def sft(
        self,
        state: State,
        iteration: int,
        schedule: Schedule,
        weighting: Weighting | None = None,
        counterfactual: Counterfactual | None = None,
    ) -> State:
        """Return the planned model after SFT."""
        found = super().sft(state, iteration, schedule, weighting, counterfactual)
        reads = 2 if counterfactual else 1
        self._price(lambda gauge: self._tuned(gauge, self.rows(iteration), schedule, negatives=0) * reads)
        return found

    def negatives(
        self, state: State, iteration: int, sampler: NegativeSampler, decoding: Decoding, **more: Any
    ) -> State:
        """Return the planned pairs."""
        found = super().negatives(state, iteration, sampler, decoding, **more)
        self._count = sampler.count
        self._price(lambda gauge: self._sampled(gauge, self.rows(iteration), sampler))
        return found

    def dpo(
        self, state: State, pairs: State, iteration: int, schedule: Schedule, objective: partial[Tensor]
    ) -> State:
        """Return the planned model after preference tuning; every row is taken to have its pair."""
        found = super().dpo(state, pairs, iteration, schedule, objective)
        self._price(lambda gauge: self._tuned(gauge, self.rows(iteration), schedule, negatives=self._count))
        return found

    def evaluate(self, state: State, label: str, test: Test, *rest: Any, **more: Any) -> Path:
        """Return the folder of the planned lists."""
        found = super().evaluate(state, label, test, *rest, **more)
        self._price(lambda gauge: self._ranked(gauge, self._split(test.split), test.ranker))
        return found

    def _run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> Path:
        found = self.store.run(stage, work) if self.store.has(stage) else None
        self.planned.append(Planned(label, stage.key, found.seconds if found else None))
        return self.store.path(stage)

    def _price(self, priced: Callable[[Gauge], Cost]) -> None:
        """Give the stage planned last its cost."""
        if self.gauge is not None:
            self.planned[-1] = replace(self.planned[-1], cost=priced(self.gauge))

    def _sample(self, gauge: Gauge, rows: Examples, *, answers: int = 1) -> Sample:
        """Return evenly spaced rows as tokens; further answers are the targets of the rows that follow."""
        some = list(rows.take(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows)), dtype=int).tolist()))
        titles = self.engine.dataset.catalog.titles
        start = time.perf_counter()
        encoded = [
            gauge.tokens.row(
                [titles[item] for item in example.history],
                [titles[some[(place + other) % len(some)].target] for other in range(answers)],
            )
            for place, example in enumerate(some)
        ]
        times = len(rows) / len(some)
        return Sample(encoded, times, (time.perf_counter() - start) * times)

    def _tuned(self, gauge: Gauge, rows: Examples, schedule: Schedule, *, negatives: int) -> Cost:
        """Return the cost of the reference's pass, where there are negatives, and of all optimiser steps."""
        shape, speed = gauge.tokens.shape, gauge.speed
        sample = self._sample(gauge, rows, answers=1 + negatives)
        learned = with_loss_on(sample.rows, schedule.learns)
        steps = [learned[at : at + schedule.batch_rows] for at in range(0, len(learned), schedule.batch_rows)]
        passes = [part for step in steps for part in parts(step, schedule.batch_tokens)]
        once = sum((cost.train(shape, part, speed) for part in passes), NOTHING)
        once += cost.update(shape, speed) * len(steps)
        reference = self._read(gauge, sample.rows) if negatives else NOTHING
        return (once * schedule.epochs + reference) * sample.times + cost.lasting(sample.seconds)

    def _read(self, gauge: Gauge, rows: Sequence[TokenRow]) -> Cost:
        passes = parts(rows, self.engine.eval_batch_tokens)
        return sum((cost.read(gauge.tokens.shape, part, gauge.speed) for part in passes), NOTHING)

    def _sampled(self, gauge: Gauge, rows: Examples, sampler: NegativeSampler) -> Cost:
        """Return the cost of a sampler: of what it asks the model, and of the embeddings."""
        if isinstance(sampler, Mixture):
            whole = sum(sampler.shares.values())
            shares = [(sampler.shares[name] / whole, part) for name, part in sampler.parts.items()]
            return sum((self._sampled(gauge, rows, part) * share for share, part in shares), NOTHING)
        if isinstance(sampler, Ches):
            sample = self._sample(gauge, rows, answers=1 + sampler.candidates)
            return self._read(gauge, sample.rows) * sample.times + cost.lasting(sample.seconds)
        found = self._embedded(len(rows)) if sampler.uses_embeddings else NOTHING
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

    def _ranked(self, gauge: Gauge, rows: Examples, ranker: Ranker) -> Cost:
        """Return the cost of a greedy title per row, of embedding it, and of the ranker's beams."""
        width = getattr(ranker, "width", 0)
        found = self._written(gauge, rows) + (
            self._embedded(len(rows)) if ranker.uses_embeddings else NOTHING
        )
        return found + (self._written(gauge, rows, beams=width) if width else NOTHING)

    def _written(self, gauge: Gauge, rows: Examples, *, beams: int = 1) -> Cost:
        """Return the cost of writing titles, taken to be as long as the true ones."""
        sample, found = self._sample(gauge, rows), NOTHING
        for part in parts(sample.rows, self.engine.eval_batch_tokens // beams):
            lengths = [min(len(row.answers[0]), TITLE_TOKENS) for row in part]
            prompts = [row.prompt for row in part]
            found += cost.write(gauge.tokens.shape, prompts, lengths, gauge.speed, beams=beams)
        return found * sample.times + cost.lasting(sample.seconds)

    def _embedded(self, titles: int) -> Cost:
        """Return the cost of embedding so many titles, and at the first time the catalogue."""
        call, title = self._embedding_seconds
        catalog = 0 if self._cataloged else len(self.engine.dataset.catalog)
        self._cataloged = True
        return cost.lasting(call + title * (titles + catalog))

    @cached_property
    def _embedding_seconds(self) -> tuple[float, float]:
        """Seconds of a call of the embedder, and of each title in it."""
        titles, spent = self.engine.dataset.catalog.titles, []
        for count in (FEW, MORE):
            start = time.perf_counter()
            self.engine.embedder.embed([titles[place % len(titles)] for place in range(count)])
            spent.append(time.perf_counter() - start)
        each = max(spent[1] - spent[0], 0.0) / (MORE - FEW)
        return max(spent[0] - FEW * each, 0.0), each


def parts(rows: Sequence[TokenRow], tokens: int) -> list[list[TokenRow]]:
    """Return the rows as passes take them."""
    return [[rows[i] for i in group] for group in microbatches([row.width for row in rows], tokens)]
