"""Under which names runs stand in W&B: their score curves, loss curves, tables, and what tells arms apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sprec.evaluation.registry import METRICS, split_key
from sprec.records.run_record import RunRecord
from sprec.records.tracking import curve_name
from sprec.report.tables.arms import scored_split
from sprec.report.tables.run_settings import changes_results, flatten_config

# The axis of scores.
ITERATION = "iteration"

# The metrics that the tables show, in the order of their columns.
IN_TABLES = [metric.name for metric in METRICS.values() if metric.in_tables]

# What the stages of each name track over their steps.
STEP = ("loss", "grad_norm", "learning_rate", "clipped_share")
PREFERENCE = (
    *("rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected"),
    *("logps/chosen", "logps/rejected"),
)
CURVES = {"initial_sft": STEP, "sft": STEP, "dpo": (*STEP, *PREFERENCE)}
VALIDATION = "validation_loss"  # of stages that choose their weights by it (eval_every)


@dataclass(frozen=True)
class TrackedNames:
    """The names that runs were tracked under.

    `scores` stand over `iteration`, cutoff by cutoff; `curves` over the axis that is their key; `tables`
    by iteration. `factors` are the dotted settings that tell the runs' arms apart beside their method.
    """

    scores: tuple[str, ...]
    curves: Mapping[str, tuple[str, ...]]
    tables: tuple[str, ...]
    factors: tuple[str, ...]

    @property
    def cutoff(self) -> str:
        """The longest list length that was scored, as `@5`, "" where none was."""
        lengths = [cutoff for _, cutoff in map(split_key, self.scores) if cutoff is not None]
        return f"@{max(lengths)}" if lengths else ""

    @property
    def in_tables(self) -> tuple[str, ...]:
        """The scores that the tables show."""
        return tuple(key for key in self.scores if split_key(key)[0] in IN_TABLES)

    @property
    def others(self) -> tuple[str, ...]:
        """The scores that no table shows, at the longest list length."""
        return tuple(key for key in self.scores if key not in self.in_tables and key.endswith(self.cutoff))

    @property
    def final(self) -> tuple[str, ...]:
        """The scores by which runs are compared at their end, at the longest list length."""
        return tuple(key for key in self.in_tables if "@" not in key or key.endswith(self.cutoff))


def tracked_names(records: Sequence[RunRecord]) -> TrackedNames:
    """Return the names that these runs track; a baseline beside a run is in its record alone."""
    evaluations = [one for record in records for one in record.evaluations if one.iteration is not None]
    stages = {curve_name(stage.label) for record in records for stage in record.stages}
    validated = {
        curve_name(label)
        for record in records
        for label, curve in record.curves.items()
        if VALIDATION in curve
    }
    labels = dict.fromkeys(one.label for one in sorted(evaluations, key=lambda one: one.iteration or 0))
    scores = {key for evaluation in evaluations for key in evaluation.scores}
    return TrackedNames(
        scores=tuple(sorted(scores, key=_column_order)),
        curves={
            f"{name}/step": tuple(
                f"{name}/{value}" for value in (*values, *([VALIDATION] if name in validated else []))
            )
            for name, values in CURVES.items()
            if name in stages
        },
        tables=tuple(f"predictions/{label}" for label in labels),
        factors=tuple(distinguishing_settings(records)),
    )


def distinguishing_settings(records: Sequence[RunRecord]) -> list[str]:
    """Return as few settings as tell the runs' arms and their data apart, beside their method and seed."""
    configs = [flatten_config(record.config) for record in records]
    groups: list[object] = [record.method for record in records]
    chosen = []
    keys = {key for config in configs for key in config if changes_results(key)}
    # Names of classes come first: they say more than the settings that come with them.
    ordered = sorted(keys, key=lambda key: ("_target_" not in key, key))
    for key in [*_settings_of_data(records, configs), *ordered]:
        finer = list(zip(groups, [repr(config.get(key)) for config in configs], strict=True))
        if len(set(finer)) > len(set(groups)):
            chosen.append(key)
            groups = list(finer)
    return chosen


def _settings_of_data(records: Sequence[RunRecord], configs: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the settings that differ only where the scored rows do, the dataset's name first."""
    # In tables each dataset has a place of its own, so that arms need not tell them apart.
    data = [(record.dataset.name, record.dataset.digest, scored_split(record)) for record in records]
    keys = {key for config in configs for key in config if key == "split" or key.startswith("dataset.")}
    values = {
        key: {(of, repr(config.get(key))) for of, config in zip(data, configs, strict=True)} for key in keys
    }
    own = [key for key in keys if len(values[key]) == len(set(data))]
    return sorted(own, key=lambda key: (key != "dataset.name", key != "split", key))


def _column_order(key: str) -> tuple[bool, int, int, str]:
    """Return a sort key: cutoff by cutoff, in the order of the tables' columns."""
    name, cutoff = split_key(key)
    place = IN_TABLES.index(name) if name in IN_TABLES else len(IN_TABLES)
    return cutoff is None, cutoff or 0, place, key
