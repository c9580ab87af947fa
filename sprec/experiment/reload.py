"""From the record of a run to what its models recommend: data and weights are those that the record names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import ValidationError

from sprec.data.dataset import Dataset
from sprec.data.examples import Example
from sprec.experiment.build import Built, build, drawn, engine, stored
from sprec.experiment.config import Settings, validate_settings
from sprec.generation.rankers import Ranker
from sprec.llm.language_model import TUNED_FILE, LanguageModel
from sprec.records.run_record import RunRecord
from sprec.training.context import StageContext

TUNING, EVALUATING = ("sft", "dpo"), "evaluate "
"""Names of stages that make a model, and how the label of the stage begins that ranks with it."""


@dataclass(frozen=True)
class Tuned:
    """A model of the run: its label, and the name and key of the stage that made it."""

    label: str
    stage: str
    key: str


@dataclass(frozen=True)
class Answer:
    """What one state recommends: (title, score in `unit`) best first, and the title that it writes."""

    label: str
    written: str | None
    unit: str
    items: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Asked:
    """A run that can be asked: what it built, its data, and how its models are loaded."""

    record: RunRecord
    built: Built
    engine: StageContext

    @classmethod
    def of(cls, record: RunRecord) -> "Asked":
        """Return the run behind a record; `ValueError` where its data or base LLM are others by now.

        A dataset or base LLM that is not stored is made again, as the run did.
        """
        settings = _settings(record)
        built = build(settings)
        whole = stored(built)
        dataset = drawn(whole, settings)
        shared, base = engine(built, settings, dataset, whole.digest)
        _same("dataset", record.dataset.digest, dataset.digest, record)
        _same("base LLM", record.weights.digest, base.key, record)
        return cls(record, built, shared)

    @property
    def dataset(self) -> Dataset:
        """The run's data."""
        return self.engine.dataset

    @cached_property
    def lengths(self) -> tuple[int, int]:
        """The shortest and the longest history, in titles, among the rows that models were trained on."""
        titles = self.dataset.split.train.frame["history"].list.len().to_list()
        return min(titles), max(titles)

    def remark(self, history: Sequence[int]) -> str | None:
        """Return what a reader must know of a history of another length than those in training, or None."""
        shortest, longest = self.lengths
        if shortest <= len(history) <= longest:
            return None
        trained = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
        read = f"the last {longest} are read" if len(history) > longest else "answers to others are guesses"
        return f"{len(history)} titles given; models were trained on histories of {trained}, {read}"

    def answers(self, models: Sequence[Tuned], history: Sequence[int], *, k: int) -> Iterator[Answer]:
        """Yield the popularity list, then k titles of each model in its order.

        Of a history longer than any in training the last titles count. `ValueError` for a model that is not
        stored, or a k that does not fit the catalogue.
        """
        catalog = self.dataset.catalog
        if not 1 <= k <= len(catalog):
            raise ValueError(f"--k {k} does not fit {len(catalog)} items; take 1 to {len(catalog)}")
        folders = [self.built.store.root / model.stage / model.key for model in models]
        for model, folder in zip(models, folders, strict=True):
            if not (folder / TUNED_FILE).is_file():
                raise ValueError(f"{model.label} is not stored at {folder}; make it: {self.record.command}")
        yield self._popular(k)
        example = Example(tuple(history[-self.lengths[1] :]), -1)
        for model, folder in zip(models, folders, strict=True):
            yield self._answer(model.label, self.engine.inference_model.load(folder), example, k)

    def _popular(self, k: int) -> Answer:
        ids = self.dataset.most_popular(k)
        return self._listed("most_popular", None, "training interactions", ids, self.dataset.popularity[ids])

    def _answer(self, label: str, model: LanguageModel, example: Example, k: int) -> Answer:
        """Return what the run's ranker lists, with what it ranks by: a distance, or a probability."""
        ranker, catalog = self._ranker(), self.dataset.catalog
        ranked = ranker(model, catalog, [example], k=k, batch_tokens=self.engine.eval_batch_tokens)
        ids, written = ranked.ids[0][ranked.ids[0] >= 0], ranked.written[0]
        if ranker.uses_embeddings:
            vectors = self.engine.embedder.embed([written, *(catalog.titles[i] for i in ids)])
            distances = np.linalg.norm(vectors[1:] - vectors[0], axis=1)
            return self._listed(label, written, "distance to it", ids, distances)
        log_probs = self._log_probs(model, example, ids)
        return self._listed(label, written, "log-probability (nats)", ids, log_probs)

    def _ranker(self) -> Ranker:
        """Return the run's ranker, which may ask an assistant; `ValueError` where that is not stored."""
        for stage in self.record.stages:
            if stage.name == "assistant":
                folder = self.built.store.root / stage.name / stage.key
                if not folder.is_dir():
                    raise ValueError(
                        f"the assistant is not stored at {folder}; make it: {self.record.command}"
                    )
                return self.built.ranker.with_assistant(folder)
        return self.built.ranker

    def _log_probs(
        self, model: LanguageModel, example: Example, ids: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """Return the log-probability of each title with its closing quote, in nats."""
        titles = self.dataset.catalog.titles
        row = model.encode([titles[i] for i in example.history], [titles[i] for i in ids])
        model.network.eval()
        with torch.no_grad(), model.merged_adapters():
            found: Float[np.ndarray, " k"] = model.log_probs([row])[0].float().cpu().numpy()
        return found

    def _listed(
        self,
        label: str,
        written: str | None,
        unit: str,
        ids: Int[np.ndarray, " k"],
        scores: np.ndarray,
    ) -> Answer:
        titles = self.dataset.catalog.titles
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        return Answer(label, written, unit, tuple((titles[item], score) for item, score in pairs))


def tuned(record: RunRecord) -> list[Tuned]:
    """Return the models that the run ranked with, in their order; `ValueError` where it has none.

    A model is what the last tuning stage before its evaluation made.
    """
    found, last = [], None
    for stage in record.stages:
        if stage.name in TUNING:
            last = stage
        elif last and stage.label.startswith(EVALUATING):
            found.append(Tuned(stage.label.removeprefix(EVALUATING), last.name, last.key))
    if found:
        return found
    if record.method in {stage.label for stage in record.stages if stage.name == "baseline"}:
        raise ValueError(
            f"{record.method} stores its lists and no model that could be asked; take a run with an LLM"
        )
    raise ValueError(f"the run is {record.status} and ranked with no model yet; go on with: {record.command}")


def _settings(record: RunRecord) -> Settings:
    """Return the run's settings, for whatever device is here, in the precision of the run."""
    try:
        settings = validate_settings(dict(record.config))
    except ValueError as error:
        at = (record.commit or "unknown")[:10]
        raise ValueError(
            f"the run's configuration does not fit this sprec ({_misfits(error)}); use the one that made it "
            f"(commit {at}), or run again: {record.command}"
        ) from error
    products = record.precision.split()[0]
    trainer = settings.trainer.model_copy(update={"device": "auto", "precision": products})
    return settings.model_copy(update={"trainer": trainer})


def _misfits(error: ValueError) -> str:
    """Return the names of the keys that are missing, unknown or of wrong values."""
    cause = error.__cause__
    errors = cause.errors() if isinstance(cause, ValidationError) else []
    return ", ".join(".".join(map(str, each["loc"])) for each in errors) or str(error)


def _same(what: str, then: str, now: str, record: RunRecord) -> None:
    if then != now:
        raise ValueError(
            f"the {what} of the run was {then[:12]} and is {now[:12]} here; run again: {record.command}"
        )
