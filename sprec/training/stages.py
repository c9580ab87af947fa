"""The stages of a method: each computed once, stored under the key of all it depends on."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from sprec.data.examples import Examples
from sprec.data.prompts import Step
from sprec.evaluation.metrics import genre_masses
from sprec.generation.decoding import Decoding
from sprec.generation.rankers import Baseline
from sprec.negatives import NegativeSampler, paired
from sprec.processes.torchrun import Work, in_process
from sprec.seeds import derive_seed, stream
from sprec.store.store import Result, Stage, Store
from sprec.training.counterfactual import Counterfactual
from sprec.training.engine import Engine, State, Test
from sprec.training.objectives import Objective, sft
from sprec.training.row_sampling import Pair, Sizes, encoded, positives
from sprec.training.row_weights import Weighting
from sprec.training.trainer import Schedule, reference_log_probs, tune

log = logging.getLogger(__name__)
VERSION = 5  # of what stages compute: 5 since attention goes by blocks
PAIRS, PREDICTIONS, CURVE, DROPS = "pairs.parquet", "predictions.parquet", "curve.parquet", "drops.json"
"""Files of stages: chosen and rejected titles, ranked lists, losses per step, what was dropped."""


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
        together: Callable[[Stage, Work], Work] = in_process,
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
        """Return the training rows of an iteration; iteration 0 is the initial SFT."""
        return self.sizes.drawn(self.engine.dataset.split.train, iteration, seed=self.engine.seed)

    def sft(
        self,
        state: State,
        iteration: int,
        schedule: Schedule,
        weighting: Weighting | None = None,
        counterfactual: Counterfactual | None = None,
    ) -> State:
        """Return the model after SFT on the iteration's rows, continuing `state`.

        Rows may be weighted, and titles may be scored by what the history does to them too.
        """
        label = f"sft {iteration}" if iteration else "initial sft"
        settings = {**self.sizes.described(iteration), **schedule.described()}
        settings |= {"weighting": repr(weighting)} if weighting else {}
        settings |= {"counterfactual": asdict(counterfactual)} if counterfactual else {}
        inputs = {"dataset": self.engine.dataset.digest} if schedule.choose_every else {}  # validation rows
        stage = self._stage("sft", settings, model=state.key, **inputs)

        def work(folder: Path) -> None:
            """Tune on the iteration's rows."""
            rows, data = self.rows(iteration), self.engine.dataset
            options: dict[str, Any] = {}
            if weighting:
                weights = weighting(list(rows), genre_masses(data.catalog.genres, data.genres))
                options = {"weights": torch.tensor(weights).float(), "per_batch": weighting.per_batch}
            options |= {"counterfactual": counterfactual} if counterfactual else {}
            self._tune(state, positives(rows), sft, schedule, label, folder, step="sft", **options)

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
        settings = {**self.sizes.described(iteration), "sampler": repr(sampler), "keep_equal": keep_equal}
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
        settings = {**schedule.described(), "objective": _form(objective), **objective.keywords}
        stage = self._stage("dpo", settings, model=state.key, pairs=pairs.key)

        def work(folder: Path) -> None:
            """Tune on the stored pairs."""
            assert pairs.folder is not None
            frame = pl.read_parquet(pairs.folder / PAIRS)
            rows = list(frame.select("history", "answers").iter_rows())
            self._tune(state, rows, objective, schedule, f"dpo {iteration}", folder, step="dpo")

        return State(stage.key, self._run(f"dpo {iteration}", stage, self.together(stage, work)))

    def assistant(self, test: Test) -> State | None:
        """Return the trained recommender of item ids that the test's ranker asks, or None."""
        assistant, engine = test.ranker.assistant, self.engine
        if assistant is None:
            return None
        settings = {"seed": engine.seed, "threads": engine.numerics.get("threads"), **assistant.described()}
        stage = Stage("assistant", VERSION, settings, {"dataset": engine.dataset.digest})

        def work(folder: Path) -> None:
            """Train on item ids."""
            assistant.train(engine.dataset, folder, rng=stream(engine.seed, "assistant"))

        return State(stage.key, self._run("assistant", stage, work))

    def evaluate(self, state: State, label: str, test: Test, assistant: State | None = None) -> Path:
        """Return the folder with the ranked lists of the test's rows (`PREDICTIONS`)."""
        rows, engine = self._split(test.split), self.engine
        settings = {"ranker": repr(test.ranker), "split": test.split, "k": test.k}
        inputs = {"embedder": engine.embedder.digest()} if test.ranker.uses_embeddings else {}
        inputs |= {"assistant": assistant.key} if assistant else {}
        stage = self._stage("evaluate", settings, model=state.key, dataset=engine.dataset.digest, **inputs)

        def work(folder: Path) -> None:
            """Rank with the tuned model."""
            model, catalog = engine.inference_model.load(state.folder), engine.dataset.catalog
            asked = assistant.folder if assistant else None
            ranker = test.ranker.assisted(asked) if asked else test.ranker
            ranked = ranker(model, catalog, rows, k=test.k, batch_tokens=engine.eval_batch_tokens)
            _predictions(rows, ranked.ids, ranked.written).write_parquet(folder / PREDICTIONS)
            _count(folder, {"prompts_cut": model.truncated_prompts})

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
        pairs: Sequence[Pair],
        objective: Objective,
        schedule: Schedule,
        label: str,
        folder: Path,
        *,
        step: Step,
        counterfactual: Counterfactual | None = None,
        **options: Any,
    ) -> None:
        """Tune the model of `state` on the step's prompts, with `options` of `tune`; write its files."""
        engine = self.engine
        model, data = engine.model.load(state.folder), engine.dataset
        text = partial(encoded, model, data.catalog, step=step, learns=schedule.learns)
        rows = text(pairs)
        if counterfactual:
            blanks = text([((), answers) for _, answers in pairs], learns="title")
            options |= {"scoring": counterfactual.scoring(model, rows, blanks)}
            schedule = replace(schedule, batch_tokens=schedule.batch_tokens // 2)  # a pass reads both
        width = len(rows[0].answers)
        reference = (
            reference_log_probs(model, rows, batch_tokens=engine.eval_batch_tokens)
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
            torch_seed=derive_seed(engine.seed, label, "dropout"),
            trainer=engine.trainer,
            validation=text(positives(data.split.valid)) if schedule.choose_every else (),
            **options,
        )
        model.save(folder)
        pl.DataFrame(curve).write_parquet(folder / CURVE)
        _count(folder, {"prompts_cut": model.truncated_prompts})

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
        drops |= {"prompts_cut": engine.inference_model.truncated_prompts} if sampler.uses_model else {}
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
