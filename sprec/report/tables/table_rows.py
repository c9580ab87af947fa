"""Rows of a table over several runs: which evaluation counts for which seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.tables.arms import ITERATIONS, Arm, arms, last, rankings, settings, tested
from sprec.report.tables.table_kinds import Kind

INITIAL_LABEL = "initial_sft"
"""The label of the evaluation of the model that all iterations start from."""


@dataclass(frozen=True)
class Source:
    """Where a number comes from: a run, and its evaluation that was taken."""

    record: RunRecord
    evaluation: Evaluation


@dataclass(frozen=True)
class Row:
    """One model over its seeds; `names` are the cells that name it, `arm` is None for what all share."""

    names: tuple[str, ...]
    found: Mapping[int, Source]
    arm: Arm | None = None
    state: str = field(default="no test scores")

    def __str__(self) -> str:
        return " × ".join(name for name in self.names if name not in ("–", ""))

    def scores(self, key: str) -> list[float]:
        """Return a score at each seed, NaN where the run has no such number."""
        return [each.evaluation.scores.get(key, float("nan")) for each in self.found.values()]


def heads(kind: Kind) -> tuple[str, ...]:
    """Return the heads of the columns that name a row."""
    if kind.across_llms:
        return (kind.head, "method", "negatives")
    return ("method", "negatives", kind.head) if kind.head else ("method", "negatives")


def rows(kind: Kind, records: Sequence[RunRecord]) -> list[Row]:
    """Return the table's rows: what all runs share, then the arms, in the order in which they were run."""
    if kind.across_llms:
        llms = dict.fromkeys(record.weights.name for record in records)
        without = [Row(("–", name, "–"), found) for name, found in _shared(records, models=False).items()]
        return [*without, *(row for name in llms for row in _of_llm(name, records))]
    blank = ("–",) if kind.head else ()
    shared = [Row((name, "–", *blank), found) for name, found in _shared(records).items()]
    if kind.each_iteration:
        found = arms(records, ignored=[ITERATIONS])
        return [*shared, *(row for arm in found for row in _iterations(arm))]
    found = _varied(arms(records), kind.factor)
    own = [row for arm in found for row in _last(arm, kind)]
    return [*shared, *own]


def model(evaluation: Evaluation, *, several: bool) -> str:
    """Return the name of what was evaluated, with its ranking where there are several."""
    name = evaluation.label.replace("_", " ").replace("sft", "SFT")
    return f"{name} ({evaluation.ranking})" if several and evaluation.iteration is not None else name


def _shared(
    records: Sequence[RunRecord], *, baselines: bool = True, models: bool = True
) -> dict[str, dict[int, Source]]:
    """Return, per model that all arms share (baselines, then the initial SFT), its evaluation by seed."""
    several = len(rankings(records)) > 1
    found: dict[str, dict[int, Source]] = {}
    known = [Source(record, each) for record in records for each in tested(record)]
    for each in sorted(known, key=lambda source: source.evaluation.iteration is not None):
        baseline = each.evaluation.iteration is None
        if (baseline and baselines) or (models and each.evaluation.label == INITIAL_LABEL):
            name = model(each.evaluation, several=several)
            found.setdefault(name, {}).setdefault(each.record.seed, each)
    return {name: dict(sorted(seeds.items())) for name, seeds in found.items()}


def _varied(found: Sequence[Arm], factor: str) -> list[Arm]:
    """Return the arms whose names were run with several values of the factor, by value; else all."""
    if not factor:
        return list(found)
    values: dict[tuple[str, str], set[str]] = {}
    for arm in found:
        values.setdefault((arm.method, arm.negatives), set()).add(_setting(arm, factor))
    varied = [arm for arm in found if len(values[arm.method, arm.negatives]) > 1]
    return sorted(
        varied or found, key=lambda arm: (arm.method, arm.negatives, _number(_setting(arm, factor)))
    )


def _setting(arm: Arm, factor: str) -> str:
    return str(settings(arm.runs[0]).get(factor, "–"))


def _number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


def _last(arm: Arm, kind: Kind) -> Iterator[Row]:
    """Yield the arm's last iteration, under each ranking that it was tested with."""
    value = (_setting(arm, kind.factor),) if kind.factor else ()
    variant = arm.told(kind.factor)
    ways = rankings(arm.runs) or ("",)
    for way in ways:
        found = {run.seed: Source(run, each) for run in arm.finished if (each := last(run, way)) is not None}
        details = ", ".join(part for part in (variant, way if len(ways) > 1 else "") if part)
        yield Row((_named(arm, details), arm.negatives, *value), found, arm, _state(arm))


def _iterations(arm: Arm) -> Iterator[Row]:
    """Yield every iteration of the arm, from the longest run of each seed."""
    ways = rankings(arm.runs)
    for way in ways:
        found: dict[int, dict[int, Source]] = {}
        for run in arm.finished:
            for each in tested(run):
                if each.iteration and each.ranking == way:
                    found.setdefault(each.iteration, {})[run.seed] = Source(run, each)
        details = ", ".join(part for part in (arm.told(ITERATIONS), way if len(ways) > 1 else "") if part)
        for iteration, seeds in sorted(found.items()):
            yield Row((_named(arm, details), arm.negatives, str(iteration)), seeds, arm)
    if not arm.finished:
        yield Row((_named(arm, arm.told(ITERATIONS)), arm.negatives, "–"), {}, arm, _state(arm))


def _of_llm(name: str, records: Sequence[RunRecord]) -> Iterator[Row]:
    """Yield the rows of one base LLM: what its arms share, and the arms."""
    own = [record for record in records if record.weights.name == name]
    for label, found in _shared(own, baselines=False).items():
        yield Row((name, label, "–"), found)
    for arm in arms(own):
        for row in _last(arm, Kind("", "")):
            yield Row((name, *row.names), row.found, arm, row.state)


def _named(arm: Arm, details: str) -> str:
    return f"{arm.method} ({details})" if details else arm.method


def _state(arm: Arm) -> str:
    return arm.missing[0].status if arm.missing else "no test scores"
