"""One run from settings to `run.json`: prepares, then hands over to the recorded run."""

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from sprec.experiment.build import Components, build_components
from sprec.experiment.config import Settings
from sprec.experiment.plan import show_plan
from sprec.experiment.prepare import (
    base_model_digest,
    build_context,
    build_row_sampling,
    load_or_build_dataset,
)
from sprec.experiment.recorded_run import RecordedRun
from sprec.progress import table_console
from sprec.records.output_folder import DRAWN_ROWS_SEED, drawn_rows_seed
from sprec.records.provenance import process_provenance
from sprec.records.run_record import DatasetEntry, RowCounts, RunRecord, WeightsEntry, utc_now
from sprec.records.tested_versions import warn_of_untested_versions
from sprec.store.code_digest import remember_code
from sprec.training.context import StageContext, TestSetup
from sprec.training.row_sampling import RowSampling


@dataclass
class Session:
    """A run in its output folder."""

    settings: Settings
    folder: Path
    command: str
    sweep: str = ""
    console: Console = field(default_factory=table_console)

    def run(self) -> RunRecord | None:
        """Run everything and return the record, or None if only the plan is to be shown.

        A failure is recorded before it is raised.
        """
        warn_of_untested_versions()
        settings = self.settings
        components = build_components(settings)
        remember_code()  # by now all that the configuration names is imported
        components.ranker.check_length(max(settings.cutoffs))
        whole = load_or_build_dataset(components)
        context, base = build_context(components, settings, whole)
        # Lists of shorter cutoffs are the beginnings of these.
        test = TestSetup(components.ranker, settings.split, max(settings.cutoffs))
        if settings.plan:
            show_plan(components, settings, context, base, test, self.console)
            return None
        sampling = build_row_sampling(settings, drawn_rows_seed(self.folder))
        record = self._open_record(components, context, sampling)
        run = RecordedRun(settings, components, context, self.folder, record, self.console)
        return run.run_stages(base, test, sampling)

    def _open_record(self, components: Components, context: StageContext, sampling: RowSampling) -> RunRecord:
        """Return the record as it is before the first stage, with the seed of unseeded rows."""
        settings, dataset = self.settings, context.dataset
        split = dataset.split
        # As `rows_seed` the number repeats a run whose rows were drawn unseeded.
        rows_seed = {DRAWN_ROWS_SEED: sampling.rows_seed} if settings.rows_seed == "entropy" else {}
        counts = RowCounts(len(split.train), len(split.valid), len(split.test))
        record = RunRecord(
            **process_provenance(),
            command=self.command,
            sweep=self.sweep,
            started=utc_now(),
            config={**settings.model_dump(), **rows_seed},
            seed=settings.seed,
            threads=settings.trainer.cpu_threads,
            device=components.device,
            precision=str(components.precision),
            engine=context.engine,
            dataset=DatasetEntry(dataset.name, dataset.content_digest, len(dataset.catalog), counts),
            weights=WeightsEntry(settings.base_llm.name, base_model_digest(components, dataset)),
            method=settings.method.name,
            negatives=components.method.negatives_label,
        )
        return record.with_drops("dataset", dict(split.drops))
