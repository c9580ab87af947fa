"""One run from settings to `run.json`: prepares, runs the method's stages, records, shows and tracks."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from sprec.data.dataset import Dataset
from sprec.data.examples import Example, Examples
from sprec.data.facts import facts
from sprec.evaluation.metrics import genre_masses
from sprec.evaluation.scores import score_lists
from sprec.experiment import plan
from sprec.experiment.build import Built, build, drawn, engine, sizes, stored, threads, together
from sprec.experiment.config import Settings
from sprec.experiment.record_contents import curve, history_genres, items, items_of_users, sample_users
from sprec.records.encoded_ids import encode_ids
from sprec.records.provenance import read_provenance
from sprec.records.run_record import (
    FILE_NAME,
    DatasetEntry,
    Evaluation,
    RowCounts,
    RunRecord,
    StageEntry,
    WeightsEntry,
    utc_now,
)
from sprec.records.tracking import Tracker
from sprec.report.tables.assemble import Table, run_table
from sprec.report.tables.formats import show
from sprec.store.store import Stage, StageResult
from sprec.training.context import ModelState, TestSetup
from sprec.training.row_sampling import RowSampling
from sprec.training.stages import CURVE, DROPS, PREDICTIONS, Stages

log = logging.getLogger(__name__)
TABLED = 100  # rows of a prediction table at the tracker; the stage's folder holds all


@dataclass
class Session:
    """A run in its output folder; `record` is what `run.json` holds so far."""

    settings: Settings
    folder: Path
    command: str
    record: RunRecord = field(init=False)
    console: Console = field(default_factory=Console)
    steps: Counter[str] = field(default_factory=Counter)

    def run(self) -> RunRecord | None:
        """Run everything and return the record, or None where data or plan are only shown.

        A failure is recorded before it is raised.
        """
        built = build(self.settings)
        whole = stored(built)
        if self.settings.describe:
            self._describe(whole)
            return None
        dataset = drawn(whole, self.settings)
        shared, base = engine(built, self.settings, dataset, whole.digest)
        if self.settings.plan:
            plan.show(built, self.settings, shared, base, self._test(built), self.console)
            return None
        rows = sizes(self.settings)
        self.record = self._opening(built, dataset, base, rows)
        fixed = self.settings.model_copy(update={"rows_seed": rows.rows_seed})  # drawn once for all processes
        done, group = partial(self._done, built), together(fixed, built)
        stages = Stages(shared, built.store, rows, done=done, together=group)
        self._look(dataset)
        with self._recorded(built):
            self._baseline(dataset, built)
            for label, iteration, place in built.method.evaluations(stages, base, self._test(built)):
                self._evaluated(dataset, place, label, iteration, built)
        return self.record

    def _describe(self, dataset: Dataset) -> None:
        """Print what the dataset looks like, all its rows counted, and what was dropped."""
        rows = {**facts(dataset), **dataset.split.drops}
        source = f"dataset {dataset.name} ({dataset.digest[:12]})"
        show(Table(dataset.name, ("what", "value"), tuple(rows.items()), (source,)), self.console)

    def _test(self, built: Built) -> TestSetup:
        return TestSetup(built.ranker, self.settings.split, max(self.settings.cutoffs))

    @contextmanager
    def _recorded(self, built: Built) -> Iterator[None]:
        """Keep run.json and the tracker in step with how the run ends."""
        settings = self.settings
        built.tracker.start(
            config=settings.model_dump(),
            group=settings.group,
            job_type=settings.method.name,
            tags=[settings.base_llm.name, self.record.dataset.name, settings.budget.name],
            name=f"{settings.method.name}-{settings.seed}",
            folder=self.folder,
        )
        self.record = replace(self.record, tracker=built.tracker.address)
        self._save()
        try:
            yield
        except BaseException as error:
            self.record = self.record.as_failed(f"{type(error).__name__}: {error}")
            self._save()
            built.tracker.finish("failed")
            raise
        self.record = self.record.as_finished()
        self._save()
        built.tracker.finish("finished")
        show(run_table(self.record), self.console)

    def _save(self) -> None:
        self.record.save(self.folder / FILE_NAME)

    def _done(self, built: Built, label: str, stage: Stage, result: StageResult) -> None:
        """Record a stage, what it dropped, and its curve."""
        entry = StageEntry(stage.name, label, stage.key, result.seconds, result.reused)
        self.record = self.record.with_stage(entry)
        drops = result.path / DROPS
        if drops.is_file():
            self.record = self.record.with_drops(label, json.loads(drops.read_text()))
        log.info("%s: %s, %.1f s", label, "stored" if result.reused else "done", result.seconds)
        if (result.path / CURVE).is_file():
            self.record = self.record.with_curve(label, curve(result.path / CURVE))
            self._track(built.tracker, stage.name, label, result.path)

    def _track(self, tracker: Tracker, name: str, label: str, folder: Path) -> None:
        """Send the stage's curve, as `sft/loss` over `sft/step` through all iterations, and its weights."""
        for values in pl.read_parquet(folder / CURVE).iter_rows(named=True):
            self.steps[name] += 1
            point = {f"{name}/{key}": value for key, value in values.items()}
            tracker.log(point, step=self.steps[name], axis=f"{name}/step")
        tracker.artifact(f"{self.record.dataset.name}-{label}", folder, "adapter")

    def _opening(self, built: Built, dataset: Dataset, base: ModelState, sizes: RowSampling) -> RunRecord:
        """Return the record as it is before the first stage, with the seed of unseeded rows."""
        settings, split = self.settings, dataset.split
        drawn = {"rows_seed_drawn": sizes.rows_seed} if settings.rows_seed == "entropy" else {}
        rows = RowCounts(len(split.train), len(split.valid), len(split.test))
        entry = DatasetEntry(dataset.name, dataset.digest, len(dataset.catalog), rows)
        record = RunRecord(
            **read_provenance(),
            command=self.command,
            started=utc_now(),
            config={**settings.model_dump(), **drawn},
            seed=settings.seed,
            threads=threads(settings),
            device=built.device,
            precision=str(built.precision),
            dataset=entry,
            weights=WeightsEntry(settings.base_llm.name, base.key),
            method=settings.method.name,
            negatives=built.method.rejected,
        )
        return record.with_drops("dataset", dict(split.drops))

    def _look(self, dataset: Dataset) -> None:
        """Keep the scored rows' targets and genres in the record, and some users to look at."""
        rows = list(self._rows(dataset))
        target, users = np.array([[row.target] for row in rows]), sample_users(rows)
        self.record = replace(
            self.record,
            targets=encode_ids(target),
            items={**items(dataset, target), **items_of_users(dataset, users)},
            history_genres=history_genres(dataset, rows),
            sampled_users=users,
        )

    def _rows(self, dataset: Dataset) -> Examples:
        rows: Examples = getattr(dataset.split, self.settings.split)
        return rows

    def _baseline(self, dataset: Dataset, built: Built) -> None:
        """Score the popularity list."""
        rows = self._rows(dataset)
        ids = np.tile(dataset.most_popular(max(self.settings.cutoffs)), (len(rows), 1))
        self._score(dataset, ids, [None] * len(rows), "most_popular", None, built)

    def _evaluated(self, dataset: Dataset, place: Path, label: str, iteration: int, built: Built) -> None:
        """Score stored lists and show the table so far."""
        frame = pl.read_parquet(place / PREDICTIONS)
        ids = np.array(frame["ranked"].to_list())
        self._score(dataset, ids, frame["written"].to_list(), label, iteration, built)
        built.tracker.table(f"predictions/{label}", *_shown(dataset, list(self._rows(dataset)), frame))
        if iteration < built.method.iterations:
            table = run_table(self.record)
            show(replace(table, title=f"{table.title}: so far", notes=()), self.console)

    def _score(
        self,
        dataset: Dataset,
        ids: np.ndarray,
        written: Sequence[str | None],
        label: str,
        iteration: int | None,
        built: Built,
    ) -> None:
        """Add one evaluation to the record, run.json and the tracker."""
        rows = list(self._rows(dataset))
        masses = genre_masses(dataset.catalog.genres, dataset.genres)
        target = np.array([row.target for row in rows])
        histories = [row.history for row in rows]
        found = score_lists(
            ids, target, histories, masses, self.settings.cutoffs, popularity=dataset.popularity
        )
        lost = sum(title is not None and dataset.catalog.find(title) is None for title in written)
        scores = {**found.values, "off_catalog": lost / len(written)}
        ranking = "popularity" if iteration is None else built.method.ranking(built.ranker)
        titles = [written[each.row] for each in self.record.sampled_users]
        self.record = self.record.with_evaluation(
            Evaluation(
                *(label, iteration, found.n, found.n_in_catalog, scores, ranking, self.settings.split),
                lists=encode_ids(ids),
                written=tuple(title for title in titles if title is not None),
            )
        )
        self.record = replace(self.record, items={**self.record.items, **items(dataset, ids)})
        self._save()
        if iteration is not None:
            built.tracker.log(scores, step=iteration, axis="iteration")


def _shown(
    dataset: Dataset, rows: Sequence[Example], frame: pl.DataFrame
) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of the prediction table: titles in words, `TABLED` users."""
    titles = dataset.catalog.titles
    lines = [
        [
            ", ".join(titles[i] for i in row.history),
            titles[row.target],
            written or "",
            ", ".join(titles[i] for i in ranked if i >= 0),
        ]
        for row, written, ranked in zip(rows, frame["written"], frame["ranked"].to_list(), strict=True)
    ]
    return ["history", "target", "written", "recommended"], lines[:TABLED]
