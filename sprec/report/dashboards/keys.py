"""Under which names runs stand in W&B: their score curves, loss curves, tables, and what tells arms apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.tables.arms import counts, settings
from sprec.report.tables.assemble import METRICS

ITERATION = "iteration"
"""The axis of scores."""

HEADS = {**METRICS, "off_catalog": "off-catalogue"}
"""The scores that the tables have columns for, and their heads."""

CURVES = {"sft": ("loss",), "dpo": ("loss", "margin")}
"""What the stages of each name track over their steps."""


@dataclass(frozen=True)
class Tracked:
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
        lengths = [int(key.partition("@")[2]) for key in self.scores if "@" in key]
        return f"@{max(lengths)}" if lengths else ""

    @property
    def tabled(self) -> tuple[str, ...]:
        """The scores that the tables show."""
        return tuple(key for key in self.scores if key.partition("@")[0] in HEADS)

    @property
    def others(self) -> tuple[str, ...]:
        """The scores that no table shows, at the longest list length."""
        return tuple(key for key in self.scores if key not in self.tabled and key.endswith(self.cutoff))

    @property
    def ending(self) -> tuple[str, ...]:
        """The scores by which runs are compared at their end, at the longest list length."""
        return tuple(key for key in self.tabled if "@" not in key or key.endswith(self.cutoff))


def tracked(records: Sequence[RunRecord]) -> Tracked:
    """Return the names that these runs track; a baseline beside a run is in its record alone."""
    evaluations = [each for record in records for each in record.evaluations if each.iteration is not None]
    stages = {stage.name for record in records for stage in record.stages}
    labels = dict.fromkeys(each.label for each in sorted(evaluations, key=lambda each: each.iteration or 0))
    return Tracked(
        scores=tuple(_scores(evaluations)),
        curves={
            f"{name}/step": tuple(f"{name}/{value}" for value in values)
            for name, values in CURVES.items()
            if name in stages
        },
        tables=tuple(f"predictions/{label}" for label in labels),
        factors=tuple(factors(records)),
    )


def head(key: str) -> str:
    """Return the title of a score's panel, as the tables have it.

    >>> head("or_ratio@5"), head("off_catalog"), head("tail_hr@5")
    ('OR@5', 'off-catalogue', 'tail_hr@5')
    """
    metric, at, cutoff = key.partition("@")
    return f"{HEADS.get(metric, metric)}{at}{cutoff}"


def factors(records: Sequence[RunRecord]) -> list[str]:
    """Return as few settings as tell the runs' arms apart, beside their method and seed."""
    runs = [settings(record) for record in records]
    groups: list[object] = [record.method for record in records]
    chosen = []
    for key in sorted({key for run in runs for key in run}, key=lambda key: ("_target_" not in key, key)):
        values = [repr(run.get(key)) for run in runs]
        split = list(zip(groups, values, strict=True))
        if counts(key) and len(set(split)) > len(set(groups)):
            chosen.append(key)
            groups = list(split)
    return chosen


def _scores(evaluations: Iterable[Evaluation]) -> list[str]:
    """Return the names of scores cutoff by cutoff, in the order of the tables' columns."""
    keys = {key for each in evaluations for key in each.scores}
    names = list(HEADS)
    return sorted(keys, key=lambda key: _place(key, names))


def _place(key: str, names: Sequence[str]) -> tuple[bool, int, int, str]:
    metric, _, cutoff = key.partition("@")
    return ("@" not in key, int(cutoff or 0), names.index(metric) if metric in names else len(names), key)
