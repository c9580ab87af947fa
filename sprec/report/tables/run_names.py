"""What people read for a run among others."""

from collections.abc import Sequence

from sprec.records.run_record import RunRecord
from sprec.report.labels import LABELS, Labels
from sprec.report.tables.arms import BASELINE_RANKING, group_into_arms, names_rankings, rankings_of


def run_name(record: RunRecord, labels: Labels = LABELS, among: Sequence[RunRecord] = ()) -> str:
    """Return what people read for a run beside its seed.

    The settings and the ranking that tell it from others of its dataset and base LLM `among` which it stands
    are part of it.
    """
    setting = (record.dataset, record.weights)
    among = [run for run in among if (run.dataset, run.weights) == setting]
    arms = [arm for arm in group_into_arms(among) if any(run is record for run in (*arm.runs, *arm.older))]
    (arm,) = arms or group_into_arms([record])  # one that failed and was run again is no arm's
    own = rankings_of([record]) or tuple(filter(None, [arm.ranking]))  # one without scores has its arm's
    rankings = set(own) - {BASELINE_RANKING} if names_rankings(among) else ()
    return arm.name(labels, " and ".join(labels.ranking(ranking) for ranking in sorted(rankings)))


def run_place(record: RunRecord, labels: Labels = LABELS, among: Sequence[RunRecord] = ()) -> str:
    """Return " on" a run's dataset and base LLM where others `among` which it stands have another."""
    if len({(run.dataset.digest, run.weights.digest) for run in among}) < 2:
        return ""
    return f" on {labels.dataset(record.dataset.name)} × {labels.base_llm(record.weights.name)}"
