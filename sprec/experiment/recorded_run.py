"""A run while it runs: each stage and score goes to `run.json`, to the tracker and to the terminal."""

import json
import logging
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from sprec.baselines.recommenders import rank_popular
from sprec.data.dataset import Dataset
from sprec.data.examples import Examples
from sprec.evaluation.metrics import genre_masses
from sprec.evaluation.scores import Scores, score_lists
from sprec.experiment.build import Components
from sprec.experiment.config import Settings
from sprec.experiment.prepare import distributed_runner
from sprec.experiment.record_contents import (
    history_genres,
    items_of_users,
    prediction_table,
    recorded_items,
    sample_users,
    thin_curve,
)
from sprec.progress import HEADLINE
from sprec.records.encoded_ids import encode_ids
from sprec.records.output_folder import read_choices
from sprec.records.record_file import RecordError
from sprec.records.run_record import FILE_NAME, Evaluation, RunRecord, StageEntry
from sprec.records.tracking import curve_name
from sprec.report.labels import LABELS
from sprec.report.tables.assemble import run_table
from sprec.report.tables.columns import headline_keys
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.formats import aligned_lines, print_table
from sprec.report.tables.run_names import run_name
from sprec.store.store import Stage, StageResult
from sprec.training.context import ModelState, StageContext, TestSetup
from sprec.training.policy_training import CURVE, DROPS
from sprec.training.ranking_stages import PREDICTIONS, RankingStages
from sprec.training.row_sampling import RowSampling

log = logging.getLogger(__name__)
LONG_STAGE_SECONDS = 10.0  # a sweep says when a stage of this length is done


@dataclass
class RecordedRun:
    """Runs the stages; `record` is what `run.json` holds so far, and the tracker mirrors it."""

    settings: Settings
    components: Components
    context: StageContext
    folder: Path
    record: RunRecord
    console: Console
    steps: Counter[str] = field(default_factory=Counter)
    sent: set[tuple[str, int]] = field(default_factory=set)

    @property
    def dataset(self) -> Dataset:
        """The data, with the sampled evaluation rows."""
        return self.context.dataset

    @property
    def rows(self) -> Examples:
        """The rows that are scored."""
        rows: Examples = getattr(self.dataset.split, self.settings.split)
        return rows

    def run_stages(self, base: ModelState, test: TestSetup, sampling: RowSampling) -> RunRecord:
        """Run the method's stages from the `base` model, score each model, and return the record."""
        # A seed drawn from entropy is drawn once; the processes of a group must sample the same rows.
        settings = self.settings.model_copy(update={"rows_seed": sampling.rows_seed})
        runner = distributed_runner(settings, self.components)
        self.context = replace(self.context, on_step=self._track_step)
        stages = RankingStages(
            self.context, self.components.store, sampling, on_result=self._record_stage, runner=runner
        )
        self._record_rows()
        with self._recorded():
            # In every record, since this list beats many a tuned model and a table should show where.
            self._score_most_popular()
            for label, iteration, folder in self.components.method.train_and_rank(stages, base, test):
                self._score_stage(folder, label, iteration)
        return self.record

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Make run.json and the tracker say how the run ends."""
        tracker, settings, record = self.components.tracker, self.settings, self.record
        facts = {"dataset_digest": record.dataset.digest, "n": len(self.rows), "negatives": record.negatives}
        tracker.start(
            config={**settings.model_dump(), "facts": facts},
            group=settings.group or record.sweep or None,
            job_type=settings.method.name,
            tags=[settings.base_llm.name, record.dataset.name, settings.budget.name],
            name=tracked_name(record, read_choices(self.folder)),
            folder=self.folder,
            notes=record.command,
            previous=_unfinished_address(self.folder / FILE_NAME),  # before the save below replaces it
        )
        self.record = replace(self.record, tracker=tracker.address)
        self._save()
        try:
            yield
        except BaseException as error:  # interrupts too: a record must not claim to be running
            # The record comes first: a tracker may wait for its upload, and be killed meanwhile.
            self.record = self.record.as_failed(f"{type(error).__name__}: {error}")
            self._save()
            tracker.finish("failed")
            raise
        self.record = self.record.as_finished()
        self._save()
        tracker.finish("finished")
        self._show_scores()

    def _save(self) -> None:
        self.record.save(self.folder / FILE_NAME)

    def _record_rows(self) -> None:
        """Put the scored rows' targets and genres into the record, and some users to look at."""
        rows = list(self.rows)
        targets, users = np.array([[row.target] for row in rows]), sample_users(rows)
        self.record = replace(
            self.record,
            targets=encode_ids(targets),
            items={**recorded_items(self.dataset, targets), **items_of_users(self.dataset, users)},
            history_genres=history_genres(self.dataset, rows),
            sampled_users=users,
        )

    def _record_stage(self, label: str, stage: Stage, result: StageResult) -> None:
        """Record a stage that is done, what it dropped, and its curve."""
        entry = StageEntry(
            *(stage.name, label, result.key, result.seconds, result.reused),
            commit=result.made.get("commit"),
            dirty=bool(result.made.get("dirty")),
            code=result.code,
            versions=result.versions,
            other_code=result.other_code,
        )
        known = {self.record.foreign_origin(stage) for stage in self.record.stages}
        self.record = self.record.with_stage(entry)
        drops, curve = result.path / DROPS, result.path / CURVE
        if drops.is_file():
            self.record = self.record.with_drops(label, json.loads(drops.read_text()))
        origin = self.record.foreign_origin(entry)
        state = "stored" if result.reused else "done"
        made_by = origin and f", made by {origin}"
        is_long = not result.reused and result.seconds >= LONG_STAGE_SECONDS
        # Who made others is news once: after a commit every stored stage of every job would say the same.
        extra = HEADLINE if is_long or (origin and origin not in known) else None
        log.info("%s: %s, %.1f s%s", label, state, result.seconds, made_by, extra=extra)
        if curve.is_file():
            self.record = self.record.with_curve(label, thin_curve(curve))
            self._track_training(label, result.path)
        # Before the next stage: who prunes the store asks records which stages are in use.
        self._save()

    def _track_step(self, label: str, step: int, values: Mapping[str, float]) -> None:
        """Send what one optimiser step of a stage reports; `sft/step` counts on through all iterations."""
        name = curve_name(label)
        point = {f"{name}/{key}": value for key, value in values.items()}
        self.components.tracker.log(point, step=self.steps[name] + step, axis=f"{name}/step")
        self.sent.add((label, step))

    def _track_training(self, label: str, folder: Path) -> None:
        """Send what nobody could watch of a stage's curve (stored, or tuned elsewhere), and its adapter."""
        curve = pl.read_parquet(folder / CURVE)
        for step, values in enumerate(curve.iter_rows(named=True), 1):
            if (label, step) not in self.sent:
                reported = {name: value for name, value in values.items() if value is not None}
                self._track_step(label, step, reported)
        self.steps[curve_name(label)] += len(curve)
        self.components.tracker.artifact(f"{self.dataset.name}-{label}", folder, "adapter")

    def _score_most_popular(self) -> None:
        """Score the items with the most training interactions; without histories if the ranking says so."""
        exclude_history = bool(self.settings.ranking.get("exclude_history", False))
        ids = rank_popular(
            self.dataset, self.rows, max(self.settings.cutoffs), exclude_history=exclude_history
        )
        self._score(ids, [None] * len(self.rows), "most_popular", None)

    def _score_stage(self, folder: Path, label: str, iteration: int) -> None:
        """Score the lists of an evaluation stage and show the table so far."""
        predictions = pl.read_parquet(folder / PREDICTIONS)
        ids = np.array(predictions["ranked"].to_list())
        self._score(ids, predictions["written"].to_list(), label, iteration)
        tracker = self.components.tracker
        tracker.table(f"predictions/{label}", *prediction_table(self.dataset, list(self.rows), predictions))
        scores = self.record.evaluations[-1].scores
        keys = [key for key in headline_keys(self.record.evaluations) if key in scores]
        log.info("%s: %s", label, ", ".join(f"{LABELS.score(key)} {scores[key]:.4f}" for key in keys))

    def _show_scores(self) -> None:
        """Show the scores that say most, and the command for the rest; a sweep's job shows bare lines."""
        options = TableOptions(columns=tuple(headline_keys(self.record.evaluations)))
        table = run_table(self.record, options)
        if self.record.sweep:
            self.console.print(aligned_lines(table), soft_wrap=True, markup=False, highlight=False)
            return
        print_table(table, self.console)
        command = shlex.join(["python", "-m", "sprec.report", str(self.folder)])
        self.console.print(f"all scores: {command}", soft_wrap=True, markup=False, highlight=False)

    def _score(
        self, ids: np.ndarray, written: Sequence[str | None], label: str, iteration: int | None
    ) -> None:
        """Add the evaluation of the lists `ids` `[user, k]` to the record, run.json and the tracker."""
        scores = self._compute_scores(ids, written)
        if undefined := scores.explain_undefined():
            log.info("%s: %s", label, undefined)
        method, ranker = self.components.method, self.components.ranker
        titles = [written[user.row] for user in self.record.sampled_users]
        evaluation = Evaluation(
            label=label,
            iteration=iteration,
            n=scores.n,
            n_in_catalog=scores.n_in_catalog,
            scores=scores.values,
            ranking="popularity" if iteration is None else method.ranking_label(ranker),
            split=self.settings.split,
            lists=encode_ids(ids),
            written=tuple(title for title in titles if title is not None),
        )
        items = {**self.record.items, **recorded_items(self.dataset, ids)}
        self.record = replace(self.record.with_evaluation(evaluation), items=items)
        self._save()
        if iteration is not None:
            self.components.tracker.log(scores.values, step=iteration, axis="iteration")

    def _compute_scores(self, ids: np.ndarray, written: Sequence[str | None]) -> Scores:
        """Return the lists' scores, and which share of the `written` titles no item has."""
        dataset, rows = self.dataset, list(self.rows)
        scores = score_lists(
            ids,
            np.array([row.target for row in rows]),
            [row.history for row in rows],
            genre_masses(dataset.catalog.genres, dataset.genres),
            self.settings.cutoffs,
            popularity=dataset.popularity,
        )
        if all(title is None for title in written):  # a baseline writes none
            return scores
        unknown = sum(title is not None and dataset.catalog.find(title) is None for title in written)
        return replace(scores, values={**scores.values, "off_catalog": unknown / len(written)})


def tracked_name(record: RunRecord, choices: Sequence[str]) -> str:
    """Return what people read for a run in a list of runs: the arm, what else its sweep chose, the seed."""
    named_already = ("method", "seed", "negatives", "dataset", "base_llm")
    others = [choice for choice in choices if choice.partition("=")[0] not in named_already]
    return ", ".join([run_name(record), *others, f"seed {record.seed}"])


def _unfinished_address(file: Path) -> str:
    """Return where an attempt in this folder that did not end well was tracked, "" if there is none."""
    try:
        record = RunRecord.load(file)
    except (RecordError, OSError):
        return ""
    return "" if record.status == "finished" else record.tracker
