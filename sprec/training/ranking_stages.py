"""The stages that rank the rows of a test, with a tuned model or without any."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl

from sprec.data.examples import Examples
from sprec.generation.finished_groups import resume_groups
from sprec.generation.rankers import Baseline, RankingTask, write_greedily
from sprec.seeds import stream
from sprec.training.context import ModelState, TestSetup
from sprec.training.policy_training import write_drops
from sprec.training.stages import Stages

TITLES, PREDICTIONS = "titles.parquet", "predictions.parquet"
"""Files of stages: the title written for each row, and ranked lists."""


class RankingStages(Stages):
    """All stages of a run: those that tune, and those that rank with what was tuned."""

    def assistant(self, test: TestSetup) -> ModelState | None:
        """Return the trained recommender of item ids that the test's ranker asks, or None."""
        assistant, context = test.ranker.assistant, self.context
        if assistant is None:
            return None
        # No LLM in it: of the numeric settings only the threads change its last bits.
        settings = {"seed": context.seed, "threads": context.numerics.get("threads")}
        settings |= {"assistant": assistant.describe()}
        code, stopping = [RankingStages.assistant, assistant], context.dataset.stopping_digest
        stage = self._stage("assistant", settings, code, stopping=stopping)

        def work(folder: Path) -> None:
            """Train on item ids."""
            assistant.train(context.dataset, folder, rng=stream(context.seed, "assistant"))

        return self.run("assistant", stage, work)

    def evaluate(
        self, policy: ModelState, label: str, test: TestSetup, assistant: ModelState | None = None
    ) -> Path:
        """Return the folder with the policy's ranked lists of the test's rows (`PREDICTIONS`)."""
        titles = self.titles(policy, label, test)
        rows, context, ranker = test.rows(self.context.dataset), self.context, test.ranker
        uses_model, uses_embeddings = ranker.work.uses_model, ranker.uses_embeddings
        settings = {**self._shared_settings, "ranker": repr(ranker), "split": test.split, "k": test.k}
        inputs = {"titles": titles.key}
        inputs |= {"model": policy.key} if uses_model else {}
        inputs |= {"embedder": context.embedder.digest()} if uses_embeddings else {}
        inputs |= {"assistant": assistant.key} if assistant else {}
        code = [RankingStages.evaluate, ranker]
        code += [context.model_code] if uses_model else []
        code += [context.embedder] if uses_embeddings else []
        stage = self._stage("evaluate", settings, code, [test.split], **inputs)

        def work(folder: Path) -> None:
            """Rank with the tuned model, or by what it has written."""
            written = pl.read_parquet(titles.folder_of_stage / TITLES)["written"].to_list()
            load = partial(context.inference_model.load, policy.folder) if uses_model else _refuse_model
            task = RankingTask(context.dataset.catalog, rows, written, load, context.eval_batch_tokens)
            trained = assistant.folder if assistant else None
            with resume_groups(self.store.checkpoint_folder(stage)):
                ids = (ranker.with_assistant(trained) if trained else ranker)(task, k=test.k)
            _predictions(rows, ids, written).write_parquet(folder / PREDICTIONS)
            if uses_model:
                write_drops(folder, context.inference_model.tokens.count_truncated())

        return self.run(f"evaluate {label}", stage, work).folder_of_stage

    def titles(self, policy: ModelState, label: str, test: TestSetup) -> ModelState:
        """Return the stored titles that the policy writes greedily, one per row of the test (`TITLES`).

        A stage of its own, since every ranking needs them: to ground, or to say which share is valid.
        """
        rows, context = test.rows(self.context.dataset), self.context
        settings = {**context.numerics, "split": test.split}
        code = [RankingStages.titles, context.model_code]
        stage = self._stage("titles", settings, code, [test.split], model=policy.key)

        def work(folder: Path) -> None:
            """Write with the tuned model."""
            model, catalog = context.inference_model.load(policy.folder), context.dataset.catalog
            with resume_groups(self.store.checkpoint_folder(stage)):
                written = write_greedily(model, catalog, rows, batch_tokens=context.eval_batch_tokens)
            pl.DataFrame({"written": pl.Series(written, dtype=pl.String)}).write_parquet(folder / TITLES)
            write_drops(folder, model.tokens.count_truncated())

        return self.run(f"titles {label}", stage, work)

    def baseline(self, label: str, baseline: Baseline, settings: Mapping[str, Any], test: TestSetup) -> Path:
        """Return the folder with the ranked lists of a recommender without an LLM (`PREDICTIONS`).

        `settings` name by value all that the baseline depends on.
        """
        rows, context = test.rows(self.context.dataset), self.context
        # The label seeds the random numbers.
        own = {"label": label, "baseline": settings, "split": test.split, "k": test.k}
        settings = {**self._shared_settings, **own}
        # Anybody's class may stand here, and it is handed the whole dataset, so all of that counts.
        code, data = [RankingStages.baseline, baseline], ["valid", test.split, "genres"]
        stage = self._stage("baseline", settings, code, data, stopping=context.dataset.stopping_digest)

        def work(folder: Path) -> None:
            """Rank without an LLM."""
            ids = baseline(context.dataset, rows, k=test.k, rng=stream(context.seed, "baseline", label))
            _predictions(rows, ids, [None] * len(rows)).write_parquet(folder / PREDICTIONS)

        return self.run(label, stage, work).folder_of_stage


def _predictions(rows: Examples, ids: np.ndarray, written: Sequence[str | None]) -> pl.DataFrame:
    """Return target, ranked ids and written title (None where nothing writes) of each row."""
    titles = pl.Series(written, dtype=pl.String)
    return pl.DataFrame({"target": rows.frame["target"], "ranked": ids.tolist(), "written": titles})


def _refuse_model() -> NoReturn:
    # lists that come from a model must have it in their key
    raise AssertionError("a ranker whose `work` asks for no model has loaded one")
