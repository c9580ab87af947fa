"""Which runs may stand in one table, and which of them are one arm at several seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sprec.runtime.records import Evaluation, RunRecord

NOT_A_SETTING = frozenset({"seed", "store", "tracker", "trainer", "plan", "describe", "group", "split"})
"""First parts of configuration keys that do not change what a run measures, beyond its seed."""


@dataclass(frozen=True)
class Setting:
    """What runs share that may be compared; `n` counts the scored rows of `split`, None where none is."""

    dataset: str
    dataset_digest: str
    base_llm: str
    base_llm_digest: str
    n: int | None
    split: str = "test"

    def __str__(self) -> str:
        rows = "N unknown" if self.n is None else f"N = {self.n}"
        rows += " validation rows" if self.split == "valid" else ""
        data = f"{self.dataset} ({self.dataset_digest[:8]})"
        return f"{data}, {self.base_llm} ({self.base_llm_digest[:8]}), {rows}"


@dataclass(frozen=True)
class Arm:
    """One method with one kind of negatives: its latest run per seed, finished ones before others.

    `variant` names the settings in which it differs from runs of the same two names, "" where none does.
    `superseded` counts the older runs of the same seeds that are left out.
    """

    method: str
    negatives: str
    variant: str
    runs: tuple[RunRecord, ...]
    superseded: int

    def __str__(self) -> str:
        return f"{self.method} × {self.negatives}" + (f" ({self.variant})" if self.variant else "")

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """The runs that ended well, by seed."""
        return tuple(run for run in self.runs if run.status == "finished")

    @property
    def missing(self) -> tuple[RunRecord, ...]:
        """The runs that failed or have not ended, by seed."""
        return tuple(run for run in self.runs if run.status != "finished")


def split(record: RunRecord) -> str:
    """Return the split whose scores count: "valid" for a run that scored validation rows alone."""
    return "valid" if {each.split for each in record.evaluations} == {"valid"} else "test"


def tested(record: RunRecord) -> tuple[Evaluation, ...]:
    """Return the evaluations on one split, baselines first, then by iteration; the last of a repeated one.

    Test rows where any were scored, else validation rows: the two never stand in one table.
    """
    chosen = split(record)
    latest = {(each.label, each.ranking): each for each in record.evaluations if each.split == chosen}
    return tuple(sorted(latest.values(), key=lambda each: -1 if each.iteration is None else each.iteration))


def last(record: RunRecord, ranking: str) -> Evaluation | None:
    """Return the test evaluation of the run's last iteration under this ranking, None where there is none."""
    iterated = [each for each in tested(record) if each.iteration is not None and each.ranking == ranking]
    return iterated[-1] if iterated else None


def rankings(records: Iterable[RunRecord]) -> tuple[str, ...]:
    """Return the rankings under which LLMs were tested, in order of appearance; baselines do not count."""
    seen = (each for record in records for each in tested(record) if each.iteration is not None)
    return tuple(dict.fromkeys(each.ranking for each in seen))


def setting(record: RunRecord) -> Setting:
    """Return what other runs must share with this one to be compared with it."""
    rows = [each.n for each in tested(record)]
    return Setting(
        dataset=record.dataset.name,
        dataset_digest=record.dataset.digest,
        base_llm=record.weights.name,
        base_llm_digest=record.weights.digest,
        n=rows[-1] if rows else None,
        split=split(record),
    )


def by_setting(records: Sequence[RunRecord]) -> dict[Setting, list[RunRecord]]:
    """Return the runs per setting, oldest first; a run without scores joins all that may be its own."""
    ordered = sorted(records, key=lambda record: record.started)
    groups: dict[Setting, list[RunRecord]] = {}
    for known in dict.fromkeys(map(setting, ordered)):
        groups[known] = [run for run in ordered if setting(run) in (known, replace(known, n=None))]
    scored = {replace(known, n=None) for known in groups if known.n is not None}
    return {known: runs for known, runs in groups.items() if known.n is not None or known not in scored}


def arms(records: Sequence[RunRecord]) -> list[Arm]:
    """Return the arms in order of their first run; runs whose settings differ are never one arm."""
    named: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.started):
        named.setdefault((record.method, record.negatives), []).append(record)
    return [arm for names, runs in named.items() for arm in _variants(*names, runs)]


def settings(record: RunRecord) -> dict[str, object]:
    """Return the run's configuration under dotted keys."""
    return _flat(record.config)


def _variants(method: str, negatives: str, runs: Sequence[RunRecord]) -> list[Arm]:
    """Return one arm for each combination of the settings that vary among these runs."""
    settings = [_flat(run.config) for run in runs]
    keys = sorted({key for each in settings for key in each if _counts(key)})
    varying = [key for key in keys if len({repr(each.get(key)) for each in settings}) > 1]
    groups: dict[str, list[RunRecord]] = {}
    for run, each in zip(runs, settings, strict=True):
        groups.setdefault(", ".join(f"{key}={each.get(key)}" for key in varying), []).append(run)
    return [_arm(method, negatives, variant, group) for variant, group in groups.items()]


def _counts(key: str) -> bool:
    return key.split(".")[0] not in NOT_A_SETTING


def _arm(method: str, negatives: str, variant: str, runs: Sequence[RunRecord]) -> Arm:
    """Return the arm of these runs, with one run per seed: the latest that finished, or else the latest."""
    best = sorted(runs, key=lambda run: (run.status == "finished", run.started))
    chosen = {run.seed: run for run in best}
    ordered = tuple(chosen[seed] for seed in sorted(chosen))
    finished = sum(run.status == "finished" for run in runs)
    superseded = finished - sum(run.status == "finished" for run in ordered)
    return Arm(method, negatives, variant, ordered, superseded)


def _flat(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested settings under dotted keys.

    >>> _flat({"seed": 1, "dpo": {"beta": 0.1}})
    {'seed': 1, 'dpo.beta': 0.1}
    """
    flat: dict[str, object] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
