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
from sprec.negatives import NegativeSampler, build_pairs
from sprec.processes.torchrun import Work, in_process
from sprec.seeds import derive_seed, stream
from sprec.store.store import Stage, StageResult, Store
from sprec.training.context import ModelState, StageContext, TestSetup
from sprec.training.counterfactual import Counterfactual
from sprec.training.objectives import Objective, sft
from sprec.training.row_sampling import HistoryWithAnswers, RowSampling, encode_rows, with_targets
from sprec.training.row_weights import RowWeighting
from sprec.training.trainer import Schedule, compute_log_probs, fine_tune

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
        context: StageContext,
        store: Store,
        sizes: RowSampling,
        *,
        done: Callable[[str, Stage, StageResult], None],
        plan: bool = False,
        together: Callable[[Stage, Work], Work] = in_process,
    ) -> None:
        self.context, self.store, self.sizes, self.done, self.plan = context, store, sizes, done, plan
        self.together = together

    def _run(self, label: str, stage: Stage, work: Callable[[Path], None]) -> Path:
        """Return the stage's folder, computing it where it is not stored."""
        if self.plan:
            self.done(label, stage, StageResult(self.store.path(stage), 0.0, self.store.has(stage)))
            return self.store.path(stage)
        log.info("%s", label)
        result = self.store.run(stage, work)
        self.done(label, stage, result)
        return result.path

    def _stage(self, name: str, settings: Mapping[str, Any], **inputs: str) -> Stage:
        """Return the stage; it depends on all rows, or on the rows drawn where `dataset` is given."""
        shared = {"seed": self.context.seed, **self.context.numerics}
        return Stage(name, VERSION, {**shared, **settings}, {"dataset": self.context.whole, **inputs})

    def rows(self, iteration: int) -> Examples:
        """Return the training rows of an iteration; iteration 0 is the initial SFT."""
        return self.sizes.drawn(self.context.dataset.split.train, iteration, seed=self.context.seed)

    def sft(
        self,
        state: ModelState,
        iteration: int,
        schedule: Schedule,
        weighting: RowWeighting | None = None,
        counterfactual: Counterfactual | None = None,
    ) -> ModelState:
        """Return the model after SFT on the iteration's rows, continuing `state`.

        Rows may be weighted, and titles may be scored by what the history does to them too.
        """
        label = f"sft {iteration}" if iteration else "initial sft"
        settings = {**self.sizes.described(iteration), **schedule.described()}
        settings |= {"weighting": repr(weighting)} if weighting else {}
        settings |= {"counterfactual": asdict(counterfactual)} if counterfactual else {}
        inputs = {"dataset": self.context.dataset.digest} if schedule.eval_every else {}  # validation rows
        stage = self._stage("sft", settings, model=state.key, **inputs)

        def work(folder: Path) -> None:
            """Tune on the iteration's rows."""
            rows, data = self.rows(iteration), self.context.dataset
            options: dict[str, Any] = {}
            if weighting:
                weights = weighting(list(rows), genre_masses(data.catalog.genres, data.genres))
                options = {"weights": torch.tensor(weights).float(), "per_batch": weighting.per_batch}
            options |= {"counterfactual": counterfactual} if counterfactual else {}
            self._tune(state, with_targets(rows), sft, schedule, label, folder, step="sft", **options)

        return ModelState(stage.key, self._run(label, stage, self.together(stage, work)))

    def negatives(
        self,
        state: ModelState,
        iteration: int,
        sampler: NegativeSampler,
        decoding: Decoding,
        *,
        keep_pairs_equal_to_target: bool = False,
    ) -> ModelState:
        """Return the stored pairs of the iteration: chosen and rejected titles of each row that has both.

        `keep_pairs_equal_to_target` keeps rows whose target is among the rejected titles, as the released
        code does.
        """
        settings = {
            **self.sizes.described(iteration),
            "sampler": repr(sampler),
            "keep_pairs_equal_to_target": keep_pairs_equal_to_target,
        }
        settings |= {"decoding": repr(decoding)} if sampler.uses_decoding else {}
        inputs = {"model": state.key} if sampler.uses_model else {}
        inputs |= {"embedder": self.context.embedder.digest()} if sampler.uses_embeddings else {}
        stage = self._stage("negatives", settings, **inputs)
        work = partial(self._negatives, state, iteration, sampler, decoding, keep_pairs_equal_to_target)
        return ModelState(stage.key, self._run(f"negatives {iteration}", stage, work))

    def dpo(
        self,
        state: ModelState,
        pairs: ModelState,
        iteration: int,
        schedule: Schedule,
        objective: partial[Tensor],
    ) -> ModelState:
        """Return the model after preference tuning on the pairs; the reference is `state`, frozen."""
        settings = {**schedule.described(), "objective": _form(objective), **objective.keywords}
        stage = self._stage("dpo", settings, model=state.key, pairs=pairs.key)

        def work(folder: Path) -> None:
            """Tune on the stored pairs."""
            assert pairs.folder is not None
            frame = pl.read_parquet(pairs.folder / PAIRS)
            rows = list(frame.select("history", "answers").iter_rows())
            self._tune(state, rows, objective, schedule, f"dpo {iteration}", folder, step="dpo")

        return ModelState(stage.key, self._run(f"dpo {iteration}", stage, self.together(stage, work)))

    def assistant(self, test: TestSetup) -> ModelState | None:
        """Return the trained recommender of item ids that the test's ranker asks, or None."""
        assistant, context = test.ranker.assistant, self.context
        if assistant is None:
            return None
        settings = {"seed": context.seed, "threads": context.numerics.get("threads"), **assistant.describe()}
        stage = Stage("assistant", VERSION, settings, {"dataset": context.dataset.digest})

        def work(folder: Path) -> None:
            """Train on item ids."""
            assistant.train(context.dataset, folder, rng=stream(context.seed, "assistant"))

        return ModelState(stage.key, self._run("assistant", stage, work))

    def evaluate(
        self, state: ModelState, label: str, test: TestSetup, assistant: ModelState | None = None
    ) -> Path:
        """Return the folder with the ranked lists of the test's rows (`PREDICTIONS`)."""
        rows, context = self._split(test.split), self.context
        settings = {"ranker": repr(test.ranker), "split": test.split, "k": test.k}
        inputs = {"embedder": context.embedder.digest()} if test.ranker.uses_embeddings else {}
        inputs |= {"assistant": assistant.key} if assistant else {}
        stage = self._stage("evaluate", settings, model=state.key, dataset=context.dataset.digest, **inputs)

        def work(folder: Path) -> None:
            """Rank with the tuned model."""
            model, catalog = context.inference_model.load(state.folder), context.dataset.catalog
            asked = assistant.folder if assistant else None
            ranker = test.ranker.with_assistant(asked) if asked else test.ranker
            ranked = ranker(model, catalog, rows, k=test.k, batch_tokens=context.eval_batch_tokens)
            _predictions(rows, ranked.ids, ranked.written).write_parquet(folder / PREDICTIONS)
            _count(folder, {"prompts_cut": model.truncated_prompts})

        return self._run(f"evaluate {label}", stage, work)

    def baseline(self, label: str, baseline: Baseline, settings: Mapping[str, Any], test: TestSetup) -> Path:
        """Return the folder with the ranked lists of a recommender without an LLM (`PREDICTIONS`).

        `settings` say in values all that the baseline depends on.
        """
        rows, context = self._split(test.split), self.context
        shape = {"baseline": settings, "split": test.split, "k": test.k}
        stage = self._stage("baseline", shape, dataset=context.dataset.digest)

        def work(folder: Path) -> None:
            """Rank without an LLM."""
            ids = baseline(context.dataset, rows, k=test.k, rng=stream(context.seed, "baseline", label))
            _predictions(rows, ids, [None] * len(rows)).write_parquet(folder / PREDICTIONS)

        return self._run(label, stage, work)

    def _split(self, name: str) -> Examples:
        rows: Examples = getattr(self.context.dataset.split, name)
        return rows

    def _tune(
        self,
        state: ModelState,
        pairs: Sequence[HistoryWithAnswers],
        objective: Objective,
        schedule: Schedule,
        label: str,
        folder: Path,
        *,
        step: Step,
        counterfactual: Counterfactual | None = None,
        **options: Any,
    ) -> None:
        """Tune the model of `state` on the step's prompts, with `options` of `fine_tune`; write its files."""
        context = self.context
        model, data = context.model.load(state.folder), context.dataset
        text = partial(encode_rows, model, data.catalog, step=step, loss_on=schedule.loss_on)
        rows = text(pairs)
        if counterfactual:
            blanks = text([((), answers) for _, answers in pairs], loss_on="title")
            options |= {"scoring": counterfactual.scoring(model, rows, blanks)}
            schedule = replace(schedule, batch_tokens=schedule.batch_tokens // 2)  # a pass reads both
        width = len(rows[0].answers)
        reference = (
            compute_log_probs(model, rows, batch_tokens=context.eval_batch_tokens)
            if width > 1
            else torch.zeros(len(rows), width)
        )
        curve = fine_tune(
            model,
            rows,
            reference,
            objective,
            schedule,
            rng=stream(context.seed, label, "order"),
            torch_seed=derive_seed(context.seed, label, "dropout"),
            trainer=context.trainer,
            validation=text(with_targets(data.split.valid)) if schedule.eval_every else (),
            **options,
        )
        model.save(folder)
        pl.DataFrame(curve).write_parquet(folder / CURVE)
        _count(folder, {"prompts_cut": model.truncated_prompts})

    def _negatives(
        self,
        state: ModelState,
        iteration: int,
        sampler: NegativeSampler,
        decoding: Decoding,
        keep_pairs_equal_to_target: bool,
        folder: Path,
    ) -> None:
        """Write the pairs of an iteration and what was dropped."""
        context, examples = self.context, list(self.rows(iteration))
        material = context.sampler_context(state, decoding)
        rejected = sampler(examples, material, stream(context.seed, "negatives", iteration))
        frame, drops = build_pairs(
            examples,
            rejected,
            material.catalog,
            count=sampler.count,
            keep_pairs_equal_to_target=keep_pairs_equal_to_target,
        )
        frame.write_parquet(folder / PAIRS)
        drops |= {"prompts_cut": context.inference_model.truncated_prompts} if sampler.uses_model else {}
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
