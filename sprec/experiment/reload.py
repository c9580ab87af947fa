"""From the record of a run to what its models recommend: data and weights are those that the record names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import ValidationError

from sprec.baselines.recommenders import rank_popular
from sprec.data.dataset import Dataset
from sprec.data.examples import Example, Examples
from sprec.experiment.build import Components, build_components
from sprec.experiment.config import Settings, validate_settings
from sprec.experiment.offered_targets import check_offered
from sprec.experiment.prepare import base_model_digest, build_context, load_or_build_dataset
from sprec.generation.rankers import Ranker, RankingTask, write_greedily
from sprec.llm.adapters import merged_adapters
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow
from sprec.records.output_folder import DRAWN_ROWS_SEED
from sprec.records.run_record import RunRecord
from sprec.store.errors import StoreError
from sprec.training.context import StageContext

TUNING_STAGES = ("sft", "dpo")
"""Names of the stages that make a model."""
EVALUATION_LABEL = "evaluate "
"""How the label of a stage begins that ranks with a model."""


@dataclass(frozen=True)
class TunedModel:
    """A model of the run: its label, and the name and key of the stage that made it."""

    label: str
    stage: str
    key: str


@dataclass(frozen=True)
class Recommendation:
    """What one model recommends: (title, score in `unit`) best first, and the title that it writes."""

    label: str
    written: str | None
    unit: str
    items: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ReloadedRun:
    """A finished run that recommends again: its objects, its data, and how its models are loaded.

    `warnings` are what a reader of its recommendations must know, one line each.
    """

    record: RunRecord
    components: Components
    context: StageContext
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def from_record(cls, record: RunRecord) -> "ReloadedRun":
        """Return the run behind a record; `ValueError` if its data or base LLM have changed since.

        A dataset or base LLM that is not stored is made again, as the run did.
        """
        # Before anything is built, since building imports and calls what the record names.
        check_offered(record.config)
        settings = _recorded_settings(record)
        components = build_components(settings)
        if settings.store.path is not None:  # nothing is written where a record says
            components = replace(components, store=components.store.as_read_only())
        context, _ = build_context(components, settings, load_or_build_dataset(components))
        digest = context.dataset.content_digest
        # Until 2026-11 records held the digest of the files and settings that the rows came from.
        if record.dataset.digest != context.dataset.digest:
            _check_digest("dataset", record.dataset.digest, digest, record)
        _check_digest(
            "base LLM", record.weights.digest, base_model_digest(components, context.dataset), record
        )
        return cls(record, components, context)

    @property
    def dataset(self) -> Dataset:
        """The run's data."""
        return self.context.dataset

    @cached_property
    def history_lengths(self) -> tuple[int, int]:
        """The shortest and the longest history, in titles, among the training rows."""
        lengths = self.dataset.split.train.frame["history"].list.len().to_list()
        return min(lengths), max(lengths)

    def length_warning(self, history: Sequence[int]) -> str | None:
        """Return a warning about a history that is shorter or longer than any in training, or None."""
        shortest, longest = self.history_lengths
        if shortest <= len(history) <= longest:
            return None
        trained = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
        effect = f"the last {longest} are read" if len(history) > longest else "answers to others are guesses"
        return f"{len(history)} titles given; models were trained on histories of {trained}, {effect}"

    def recommend(
        self, models: Sequence[TunedModel], history: Sequence[int], *, k: int
    ) -> Iterator[Recommendation]:
        """Yield the popularity list, then k titles of each model in its order.

        Of a history longer than any in training only the last titles count. `ValueError` for a model that is
        not stored, or a k that does not fit the catalogue.
        """
        catalog = self.dataset.catalog
        if not 1 <= k <= len(catalog):
            raise ValueError(f"--k {k} does not fit {len(catalog)} items; take 1 to {len(catalog)}")
        folders = [self.model_folder(model) for model in models]  # all are checked before anything is loaded
        example = Example(tuple(history[-self.history_lengths[1] :]), -1)
        yield self._most_popular(example, k)
        for model, folder in zip(models, folders, strict=True):
            yield self._rank(model.label, self.context.inference_model.load(folder), example, k)

    def model_folder(self, model: TunedModel) -> Path:
        """Return where the model is stored; `ValueError` with the command that makes it if it is not."""
        return self._open(model.stage, model.key, model.label)

    def _open(self, stage: str, key: str, label: str) -> Path:
        try:
            return self.components.store.open(stage, key)
        except StoreError as error:
            # A key holds the code: another commit may make another stage.
            commit = self.record.commit or "unknown"
            raise ValueError(
                f"{label}: {error}; make it, at commit {commit[:10]}: {self.record.command}"
            ) from error

    def _most_popular(self, example: Example, k: int) -> Recommendation:
        """Return the most popular items, without the history where the run's ranker leaves it out."""
        exclude_history = bool(getattr(self.components.ranker, "exclude_history", False))
        [ids] = rank_popular(self.dataset, Examples.from_rows([example]), k, exclude_history=exclude_history)
        ids = ids[ids >= 0]
        counts = self.dataset.popularity[ids]
        return self._with_titles("most_popular", None, "training interactions", ids, counts)

    def _rank(self, label: str, model: LanguageModel, example: Example, k: int) -> Recommendation:
        """Return what the run's ranker lists, with what it ranks by: a distance or a log-probability."""
        ranker, catalog = self._ranker(), self.dataset.catalog
        batch_tokens = self.context.eval_batch_tokens
        [written] = write_greedily(model, catalog, [example], batch_tokens=batch_tokens)
        self._warn_if_cut(model, example)
        task = RankingTask(catalog, [example], [written], lambda: model, batch_tokens)
        # A beam search is as wide as its lists are long: shorter ones begin those that the run scored.
        longest = max(k, self._recorded_length)
        [ids] = ranker(task, k=min(longest, len(catalog)))
        ids = ids[:k][ids[:k] >= 0]
        if ranker.uses_embeddings:
            vectors = self.context.embedder.embed([written, *(catalog.titles[i] for i in ids)])
            distances = np.linalg.norm(vectors[1:] - vectors[0], axis=1)
            return self._with_titles(label, written, "distance to it", ids, distances)
        log_probs = self._log_probs(model, example, ids)
        return self._with_titles(label, written, "log-probability (nats)", ids, log_probs)

    @property
    def _recorded_length(self) -> int:
        """The length of the lists that the run scored."""
        cutoffs: Any = self.record.config["cutoffs"]
        return int(max(cutoffs))

    def _warn_if_cut(self, model: LanguageModel, example: Example) -> None:
        """Warn, once for all models, where the prompt was too long for the whole history."""
        if model.tokens.truncated_prompts and not self.warnings:
            cutoff = model.tokens.cutoff_tokens
            self.warnings.append(
                f"the prompt of {len(example.history)} titles is longer than base_llm.cutoff_tokens={cutoff}"
                "; its oldest titles are not read"
            )

    def _ranker(self) -> Ranker:
        """Return the run's ranker, with its trained assistant if it asks one."""
        for stage in self.record.stages:
            if stage.name == "assistant":
                folder = self._open(stage.name, stage.key, "assistant")
                return self.components.ranker.with_assistant(folder)
        return self.components.ranker

    def _log_probs(
        self, model: LanguageModel, example: Example, ids: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """Return the log-probability of each title up to the end that the beam search gives it, in nats."""
        titles = self.dataset.catalog.titles
        # `encode` would give all titles but the first the end of rejected ones (`prompt.answer_end`).
        prompt = model.encode([titles[i] for i in example.history]).prompt
        row = TokenRow(prompt, tuple(model.encode_answer(titles[i]) for i in ids))
        model.network.eval()
        with torch.no_grad(), merged_adapters(model.network):
            log_probs: Float[np.ndarray, " k"] = model.log_probs([row])[0].float().cpu().numpy()
        return log_probs

    def _with_titles(
        self,
        label: str,
        written: str | None,
        unit: str,
        ids: Int[np.ndarray, " k"],
        scores: np.ndarray,
    ) -> Recommendation:
        titles = self.dataset.catalog.titles
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        return Recommendation(label, written, unit, tuple((titles[item], score) for item, score in pairs))


def tuned_models(record: RunRecord) -> list[TunedModel]:
    """Return the models that the run ranked with, in their order; `ValueError` if it has none.

    A model is what the last tuning stage before its evaluation made.
    """
    models, last = [], None
    for stage in record.stages:
        if stage.name in TUNING_STAGES:
            last = stage
        elif last and stage.label.startswith(EVALUATION_LABEL):
            models.append(TunedModel(stage.label.removeprefix(EVALUATION_LABEL), last.name, last.key))
    if models:
        return models
    if record.method in {stage.label for stage in record.stages if stage.name == "baseline"}:
        raise ValueError(
            f"{record.method} stores its lists and no model that could be asked; take a run with an LLM"
        )
    raise ValueError(f"the run is {record.status} and ranked with no model yet; go on with: {record.command}")


def _recorded_settings(record: RunRecord) -> Settings:
    """Return the run's settings for whatever device is here, in the precision of the run."""
    try:
        config = dict(record.config)
        if DRAWN_ROWS_SEED in config:
            config["rows_seed"] = config.pop(DRAWN_ROWS_SEED)
        settings = validate_settings(config)
    except ValueError as error:
        commit = (record.commit or "unknown")[:10]
        raise ValueError(
            f"the run's configuration does not fit this sprec ({_faulty_keys(error)}); use the one that made "
            f"it (commit {commit}), or run again: {record.command}"
        ) from error
    # A record says "bf16 on nf4 inference in fp16", or less; the format of products comes first.
    number_format = record.precision.split()[0]
    one_device = {"device": "auto", "devices": 1, "nodes": 1, "shard": False}
    trainer = settings.trainer.model_copy(update={**one_device, "precision": number_format})
    # A log line says so where 4-bit weights cannot be had.
    quantise = "auto" if settings.base_llm.quantise == "nf4" else settings.base_llm.quantise
    base_llm = settings.base_llm.model_copy(update={"quantise": quantise})
    return settings.model_copy(update={"trainer": trainer, "base_llm": base_llm})


def _faulty_keys(error: ValueError) -> str:
    """Return the names of the keys that are missing, unknown or of wrong values."""
    cause = error.__cause__
    faults = cause.errors() if isinstance(cause, ValidationError) else []
    return ", ".join(".".join(map(str, fault["loc"])) for fault in faults) or str(error)


def _check_digest(name: str, recorded: str, present: str, record: RunRecord) -> None:
    if recorded != present:
        raise ValueError(
            f"the {name} of the run was {recorded[:12]} and is {present[:12]} here; "
            f"run again: {record.command}"
        )
