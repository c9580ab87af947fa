"""The stages of a method: each computed once, stored under the key of all it depends on."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from sprec.data.dataset import Dataset
from sprec.data.examples import Examples
from sprec.evaluation.evaluate import Baseline, Ranker
from sprec.evaluation.metrics import genre_masses
from sprec.llm.batches import learning
from sprec.llm.decoding import Decoding
from sprec.llm.grounding import Embedder
from sprec.llm.recommender import Recommender
from sprec.runtime.group import Work, alone
from sprec.runtime.seeds import derived, stream
from sprec.runtime.store import Result, Stage, Store
from sprec.training.negatives import Material, NegativeSampler, paired
from sprec.training.objectives import Objective, sft
from sprec.training.tuner import Schedule, reference_log_probs, tune

log = logging.getLogger(__name__)
VERSION = 3  # of what stages compute: 2 since passes are packed
PAIRS, PREDICTIONS, CURVE, DROPS = "pairs.parquet", "predictions.parquet", "curve.parquet", "drops.json"
"""Files of stages: chosen and rejected titles, ranked lists, losses per step, what was dropped."""


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


class Stages:
    """Runs stages through the store; `done` hears of each result, `plan` keeps all from being computed.

    `together` says who does the work of tuning: this process, or a group of them.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        sizes: Sizes,
        *,
        done: Callable[[str, Stage, Result], None],
        plan: bool = False,
        together: Callable[[Stage, Work], Work] = alone,
    ) -> None:
        self.engine, self.store, self.sizes, self.done, self.plan = engine, store, sizes, done, plan
        self.together = together

    def _run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> Path:
        """Return the stage's folder, computing it where it is not stored."""
        if self.plan:
            self.done(label, stage, Result(self.store.path(stage), 0.0, self.store.has(stage)))
            return self.store.path(stage)
        log.info("%s", label)
        result = self.store.run(stage, work)
        self.done(label, stage, result)
        return result.path

    def _stage(self, name: str, settings: Mapping[str, Any], **inputs: str) -> Stage:
        """Return the stage; it depends on all rows, or on the rows drawn where `dataset` is given."""
        shared = {"seed": self.engine.seed, **self.engine.numerics}
        return Stage(name, VERSION, {**shared, **settings}, {"dataset": self.engine.whole, **inputs})

    def rows(self, iteration: int) -> Examples:
        """Return the training rows of an iteration, drawn anew by name; iteration 0 is the initial SFT."""
        train = self.engine.dataset.split.train
        size = self.sizes.iteration_rows if iteration else self.sizes.sft_rows
        if size is None or size >= len(train):
            return train
        chosen = stream(self.engine.seed, "rows", iteration).choice(len(train), size, replace=False)
        return train.take(chosen.tolist())

    def _drawn(self, iteration: int) -> dict[str, Any]:
        return {"rows": self.sizes.iteration_rows if iteration else self.sizes.sft_rows, "draw": iteration}

    def sft(
        self, state: State, iteration: int, schedule: Schedule, weighting: partial[Any] | None = None
    ) -> State:
        """Return the model after SFT on the iteration's rows, continuing `state`; rows may be weighted."""
        label = f"sft {iteration}" if iteration else "initial sft"
        settings = {**self._drawn(iteration), **asdict(schedule)}
        settings |= {"weighting": _form(weighting)} if weighting else {}
        stage = self._stage("sft", settings, model=state.key)

        def work(folder: Path) -> None:
            """Tune on the iteration's rows."""
            rows, catalog = list(self.rows(iteration)), self.engine.dataset.catalog
            pairs = [(example.history, [example.target]) for example in rows]
            weights = None
            if weighting:
                masses = genre_masses(catalog.genres, self.engine.dataset.genres)
                weights = torch.tensor(weighting(rows, masses), dtype=torch.float32)
            self._tune(state, pairs, sft, schedule, label, folder, weights)

        return State(stage.key, self._run(label, stage, self.together(stage, work)))

    def negatives(
        self,
        state: State,
        iteration: int,
        sampler: NegativeSampler,
        decoding: Decoding,
        *,
        keep_equal: bool = False,
    ) -> State:
        """Return the stored pairs of the iteration: chosen and rejected titles of each row that has both.

        `keep_equal` keeps rows whose target is among the rejected titles, as the released code does.
        """
        settings = {**self._drawn(iteration), "sampler": repr(sampler), "keep_equal": keep_equal}
        settings |= {"decoding": repr(decoding)} if sampler.uses_decoding else {}
        inputs = {"model": state.key} if sampler.uses_model else {}
        inputs |= {"embedder": self.engine.embedder.digest()} if sampler.uses_embeddings else {}
        stage = self._stage("negatives", settings, **inputs)
        work = partial(self._negatives, state, iteration, sampler, decoding, keep_equal)
        return State(stage.key, self._run(f"negatives {iteration}", stage, work))

    def dpo(
        self, state: State, pairs: State, iteration: int, schedule: Schedule, objective: partial[Tensor]
    ) -> State:
        """Return the model after preference tuning on the pairs; the reference is `state`, frozen."""
        settings = {**asdict(schedule), "objective": _form(objective), **objective.keywords}
        stage = self._stage("dpo", settings, model=state.key, pairs=pairs.key)

        def work(folder: Path) -> None:
            """Tune on the stored pairs."""
            assert pairs.folder is not None
            frame = pl.read_parquet(pairs.folder / PAIRS)
            rows = list(frame.select("history", "answers").iter_rows())
            self._tune(state, rows, objective, schedule, f"dpo {iteration}", folder)

        return State(stage.key, self._run(f"dpo {iteration}", stage, self.together(stage, work)))

    def evaluate(self, state: State, label: str, test: Test) -> Path:
        """Return the folder with the ranked lists of the test's rows (`PREDICTIONS`)."""
        rows, engine = self._split(test.split), self.engine
        settings = {"ranker": repr(test.ranker), "split": test.split, "k": test.k}
        inputs = {"embedder": engine.embedder.digest()} if test.ranker.uses_embeddings else {}
        stage = self._stage("evaluate", settings, model=state.key, dataset=engine.dataset.digest, **inputs)

        def work(folder: Path) -> None:
            """Rank with the tuned model."""
            model, catalog = engine.model.load(state.folder), engine.dataset.catalog
            ranked = test.ranker(model, catalog, rows, k=test.k, batch_tokens=engine.reading_tokens)
            _predictions(rows, ranked.ids, ranked.written).write_parquet(folder / PREDICTIONS)
            _count(folder, {"prompts_cut": model.cut})

        return self._run(f"evaluate {label}", stage, work)

    def baseline(self, label: str, baseline: Baseline, settings: Mapping[str, Any], test: Test) -> Path:
        """Return the folder with the ranked lists of a recommender without an LLM (`PREDICTIONS`).

        `settings` say in values all that the baseline depends on.
        """
        rows, engine = self._split(test.split), self.engine
        shape = {"baseline": settings, "split": test.split, "k": test.k}
        stage = self._stage("baseline", shape, dataset=engine.dataset.digest)

        def work(folder: Path) -> None:
            """Rank without an LLM."""
            ids = baseline(engine.dataset, rows, k=test.k, rng=stream(engine.seed, "baseline", label))
            _predictions(rows, ids, [None] * len(rows)).write_parquet(folder / PREDICTIONS)

        return self._run(label, stage, work)

    def _split(self, name: str) -> Examples:
        rows: Examples = getattr(self.engine.dataset.split, name)
        return rows

    def _tune(
        self,
        state: State,
        pairs: list[tuple[Any, list[Any]]],
        objective: Objective,
        schedule: Schedule,
        label: str,
        folder: Path,
        weights: Float[Tensor, " rows"] | None = None,
    ) -> None:
        """Tune the model of `state` and write weights and loss curve."""
        engine = self.engine
        model, titles = engine.model.load(state.folder), engine.dataset.catalog.titles
        rows = [
            model.encode(
                [titles[i] for i in history], [a if isinstance(a, str) else titles[a] for a in answers]
            )
            for history, answers in pairs
        ]
        rows = learning(rows, schedule.learns)
        width = len(rows[0].answers)
        reference = (
            reference_log_probs(model, rows, batch_tokens=engine.reading_tokens)
            if width > 1
            else torch.zeros(len(rows), width)
        )
        curve = tune(
            model,
            rows,
            reference,
            objective,
            schedule,
            rng=stream(engine.seed, label, "order"),
            torch_seed=derived(engine.seed, label, "dropout"),
            trainer=engine.trainer,
            weights=weights,
        )
        model.save(folder)
        pl.DataFrame(curve).write_parquet(folder / CURVE)
        _count(folder, {"prompts_cut": model.cut})

    def _negatives(
        self,
        state: State,
        iteration: int,
        sampler: NegativeSampler,
        decoding: Decoding,
        keep_equal: bool,
        folder: Path,
    ) -> None:
        """Write the pairs of an iteration and what was dropped."""
        engine, examples = self.engine, list(self.rows(iteration))
        material = engine.material(state, decoding)
        rejected = sampler(examples, material, stream(engine.seed, "negatives", iteration))
        frame, drops = paired(
            examples, rejected, material.catalog, count=sampler.count, keep_equal=keep_equal
        )
        frame.write_parquet(folder / PAIRS)
        drops |= {"prompts_cut": engine.model.cut} if sampler.uses_model else {}
        _count(folder, drops)


def _form(function: partial[Any]) -> str:
    """Return the name under which a stage's key knows a function."""
    return f"{function.func.__module__}.{function.func.__qualname__}"


def _predictions(rows: Examples, ids: np.ndarray, written: Sequence[str | None]) -> pl.DataFrame:
    """Return target, ranked ids and written title (None where nothing writes) of each row."""
    titles = pl.Series(written, dtype=pl.String)
    return pl.DataFrame({"target": rows.frame["target"], "ranked": ids.tolist(), "written": titles})


def _count(folder: Path, drops: Mapping[str, int]) -> None:
    (folder / DROPS).write_text(json.dumps(drops))
