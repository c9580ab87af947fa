"""The stages that tune: each is computed once and stored under the key of all it depends on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch

from sprec.data.examples import Examples
from sprec.generation.decoding import Decoding
from sprec.generation.finished_groups import resume_groups
from sprec.negatives import NegativeSampler, build_pairs, describe_sampler
from sprec.processes.torchrun import Work, in_process
from sprec.progress import DETAIL
from sprec.seeds import stream
from sprec.store.code_digest import LIBRARIES, code_digest, foreign_names, library_versions
from sprec.store.store import Stage, StageResult, Store
from sprec.training.context import ModelState, StageContext
from sprec.training.counterfactual import Counterfactual
from sprec.training.objectives import sft
from sprec.training.policy_training import train_policy, write_drops
from sprec.training.row_sampling import RowSampling, with_targets
from sprec.training.row_weights import ItemGenres, RowWeighting
from sprec.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
PAIRS = "pairs.parquet"
"""The file of chosen and rejected titles."""
READ_GENRES = "read them (dataset.reader.genres of your own tables, genre files of released rows)"


class Stages:
    """Runs stages through the store and calls `on_result` with label, stage and result of each.

    `runner` wraps the work of fine-tuning: in this process, or in a group of processes.
    """

    def __init__(
        self,
        context: StageContext,
        store: Store,
        row_sampling: RowSampling,
        *,
        on_result: Callable[[str, Stage, StageResult], None],
        runner: Callable[[Stage, Work], Work] = in_process,
    ) -> None:
        self.context, self.store, self.row_sampling = context, store, row_sampling
        self.on_result, self.runner = on_result, runner

    def run(self, label: str, stage: Stage, work: Work) -> ModelState:
        """Return key and folder of the finished stage; `work` computes it unless it is stored."""
        log.info("%s", label, extra=DETAIL)
        result = self.store.run(stage, work)
        self.on_result(label, stage, result)
        return ModelState(result.key, result.path)

    def _stage(
        self,
        name: str,
        settings: Mapping[str, Any],
        code: Sequence[object],
        data: Sequence[str] = (),
        **inputs: str,
    ) -> Stage:
        """Return a stage with all that its output depends on.

        Args:
            name: the step.
            settings: of the step.
            code: the functions and objects that compute it.
            data: parts of the dataset that it reads beside the training data (see `Dataset.part_digests`).
            inputs: digests and keys of whatever else it reads.
        """
        digests = self.context.dataset.part_digests
        # "training" holds the catalogue and the wording as well, so every stage depends on it.
        inputs |= {part: digests[part] for part in ("training", *data)}
        settings = {**settings, "foreign": foreign} if (foreign := foreign_names(*code)) else settings
        # Of a base in 4 bits this one's kernels make the weights; most machines are without it.
        four_bits = ("bitsandbytes",) if self.context.numerics.get("base") == "nf4" else ()
        return Stage(name, settings, inputs, code_digest(*code), library_versions((*LIBRARIES, *four_bits)))

    @property
    def _shared_settings(self) -> dict[str, Any]:
        """The settings of every stage that may ask the model."""
        return {"seed": self.context.seed, **self.context.numerics}

    def rows(self, iteration: int) -> Examples:
        """Return the training rows of an iteration; iteration 0 is the initial SFT."""
        train = self.context.dataset.split.train
        return self.row_sampling.sample_rows(train, iteration, seed=self.context.seed)

    def require_genres(self, weighting: RowWeighting | None, sampler: NegativeSampler | None) -> None:
        """Raise `ValueError` where one of these goes by genres and the dataset has none that count for it."""
        data = self.context.dataset
        known = any(data.catalog.genres)
        # Without genres all weights would be 1 and no item in a cluster: another arm under this one's name.
        if weighting and not (known if weighting.all_genres else data.genres):
            fault, other = f"method.weighting = {type(weighting).__name__} weighs rows by genre", "method"
        elif sampler and sampler.uses_genres and not data.genres:
            fault, other = f"negatives = {describe_sampler(sampler)} go by genre", "sampler"
        else:
            return
        remedy = f"name some of {data.name}'s in dataset.genres" if known else READ_GENRES
        raise ValueError(
            f"{fault}, and {data.name} has no genre that counts; {remedy}, or choose another {other}"
        )

    def require_items(self, sampler: NegativeSampler | None) -> None:
        """Raise `ValueError` where the catalogue has too few items for the rejected titles of one row."""
        items = len(self.context.dataset.catalog)
        if sampler and sampler.count >= items:
            raise ValueError(
                f"negatives.count = {sampler.count} of a catalogue of {items} items; use at most {items - 1}"
            )

    def sft(
        self,
        policy: ModelState,
        iteration: int,
        schedule: Schedule,
        weighting: RowWeighting | None = None,
        counterfactual: Counterfactual | None = None,
    ) -> ModelState:
        """Return the policy after SFT on the iteration's rows.

        Args:
            policy: the model that is trained on.
            iteration: number of the iteration, 0 for the initial SFT.
            schedule: epochs, batches, learning rate.
            weighting: weighs the rows, all alike where None.
            counterfactual: adds the effect of the history to a title's likelihood.
        """
        label = f"sft {iteration}" if iteration else "initial sft"
        settings = {**self._shared_settings, **self.row_sampling.describe(iteration), **schedule.describe()}
        # What is not in use is left out of the key, so that a new option leaves older keys as they are.
        settings |= {"weighting": repr(weighting)} if weighting else {}
        settings |= {"counterfactual": asdict(counterfactual)} if counterfactual else {}
        # Validation rows count where they choose the weights, genres where they weigh the rows.
        data = [*(["valid"] if schedule.eval_every else []), *(["genres"] if weighting else [])]
        code = [Stages.sft, self.row_sampling, self.context.model_code, weighting, counterfactual]
        stage = self._stage("sft", settings, code, data, model=policy.key)

        def work(folder: Path) -> None:
            """Train on the targets of the iteration's rows."""
            rows, data = self.rows(iteration), self.context.dataset
            options: dict[str, Any] = {}
            if weighting:
                genres = ItemGenres(data.catalog.genres, data.genres)
                weights = weighting(list(rows), list(data.split.train), genres)
                options = {"weights": torch.tensor(weights).float(), "batch_weights": weighting.per_batch}
            train_policy(
                self.context,
                policy,
                with_targets(rows),
                sft,
                schedule,
                label,
                folder,
                step="sft",
                counterfactual=counterfactual,
                checkpoints=self.store.checkpoint_folder(stage),
                **options,
            )

        return self.run(label, stage, self.runner(stage, work))

    def negatives(
        self,
        policy: ModelState,
        iteration: int,
        sampler: NegativeSampler,
        decoding: Decoding,
        *,
        keep_pairs_equal_to_target: bool = False,
    ) -> ModelState:
        """Return the stored pairs of the iteration: chosen and rejected titles of each row that has both.

        Args:
            policy: the model that is asked for titles.
            iteration: number of the iteration, from 1.
            sampler: proposes the rejected titles.
            decoding: how the model writes titles of its own.
            keep_pairs_equal_to_target: keep rows whose target is rejected too, as the released code does.
        """
        settings = {**self._shared_settings, **self.row_sampling.describe(iteration)}
        settings |= {"sampler": repr(sampler), "keep_pairs_equal_to_target": keep_pairs_equal_to_target}
        settings |= {"decoding": repr(decoding)} if sampler.uses_decoding else {}
        inputs = {"model": policy.key} if sampler.uses_model else {}
        inputs |= {"embedder": self.context.embedder.digest()} if sampler.uses_embeddings else {}
        code = [Stages.negatives, self.row_sampling, StageContext.sampler_context, sampler]
        code += [self.context.model_code] if sampler.uses_model else []
        code += [decoding] if sampler.uses_decoding else []
        code += [self.context.embedder] if sampler.uses_embeddings else []
        data = ["genres"] if sampler.uses_genres else []
        stage = self._stage("negatives", settings, code, data, **inputs)

        def work(folder: Path) -> None:
            """Write the pairs, and count what was dropped."""
            examples = list(self.rows(iteration))
            context = self.context.sampler_context(policy, decoding, sampler)
            with resume_groups(self.store.checkpoint_folder(stage)):
                rejected = sampler(examples, context, stream(self.context.seed, "negatives", iteration))
            count, keep_equal = sampler.count, keep_pairs_equal_to_target
            frame, drops = build_pairs(
                examples, rejected, context.catalog, count=count, keep_equal_to_target=keep_equal
            )
            frame.write_parquet(folder / PAIRS)
            if sampler.uses_model:
                drops |= self.context.inference_model.tokens.count_truncated()
            write_drops(folder, drops)

        return self.run(f"negatives {iteration}", stage, work)

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
        """Return the policy after preference tuning on the stored pairs.

        Args:
            policy: the model that is trained on, and that stays frozen as the reference.
            pairs: what `negatives` returned.
            iteration: number of the iteration, from 1.
            schedule: epochs, batches, learning rate.
            objective: the loss with its settings.
            earlier: pairs of another iteration to train on as well.
        """
        loss = f"{objective.func.__module__}.{objective.func.__qualname__}"
        settings = {**self._shared_settings, **schedule.describe()}
        # Which rows the pairs are of is part of their own key.
        settings |= {"objective": {"name": loss, **objective.keywords}}
        code = [Stages.dpo, self.context.model_code, objective]
        inputs = {"earlier_pairs": earlier.key} if earlier else {}
        stage = self._stage("dpo", settings, code, model=policy.key, pairs=pairs.key, **inputs)
        label = f"dpo {iteration}"

        def work(folder: Path) -> None:
            """Train on the stored pairs."""
            sources = [each for each in (earlier, pairs) if each]
            frame = pl.concat([pl.read_parquet(each.folder_of_stage / PAIRS) for each in sources])
            rows = list(frame.select("history", "answers").iter_rows())
            options: dict[str, Any] = {"checkpoints": self.store.checkpoint_folder(stage)}
            train_policy(
                self.context, policy, rows, objective, schedule, label, folder, step="dpo", **options
            )

        return self.run(label, stage, self.runner(stage, work))
