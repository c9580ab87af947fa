"""Which runs may stand in one table, and which of them are one arm at several seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sprec.records.run_record import Evaluation, RunRecord

NOT_A_SETTING = frozenset(
    {
        *("seed", "rows_seed_drawn", "store", "tracker", "trainer"),
        *("plan", "describe", "group", "goal", "split"),
    }
)
"""First parts of configuration keys that do not change what a run measures, beyond its seed."""

MEASURED = frozenset({"trainer.precision", "trainer.inference_precision", "trainer.clip_norm"})
"""Keys that do change it all the same: number formats, and how far a step may go."""

ITERATIONS = "budget.iterations"


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
        llm = f"{self.base_llm} ({self.base_llm_digest[:8]}), " if self.base_llm else ""
        return f"{data}, {llm}{rows}"


@dataclass(frozen=True)
class Arm:
    """One method with one kind of negatives: its latest run per seed, finished ones before others.

    `differing` holds the settings (dotted key, value) in which it differs from runs of the same two names.
    `older` are finished runs of the same seeds that are left out.
    """

    method: str
    negatives: str
    differing: tuple[tuple[str, object], ...]
    runs: tuple[RunRecord, ...]
    older: tuple[RunRecord, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} × {self.negatives}" + (f" ({self.variant})" if self.variant else "")

    @property
    def variant(self) -> str:
        """The settings that tell the arm from others of its names, "" where there are no others."""
        return self.told()

    def told(self, *known: str) -> str:
        """Return `variant` without the settings of these keys, which stand elsewhere."""
        return ", ".join(f"{key}={value}" for key, value in self.differing if key not in known)

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


def setting(record: RunRecord, *, across_llms: bool = False) -> Setting:
    """Return what other runs must share with this one to be compared with it, the base LLM or not."""
    rows = [each.n for each in tested(record)]
    return Setting(
        dataset=record.dataset.name,
        dataset_digest=record.dataset.digest,
        base_llm="" if across_llms else record.weights.name,
        base_llm_digest="" if across_llms else record.weights.digest,
        n=rows[-1] if rows else None,
        split=split(record),
    )


def by_setting(records: Sequence[RunRecord], *, across_llms: bool = False) -> dict[Setting, list[RunRecord]]:
    """Return the runs per setting, oldest first; a run without scores joins all that may be its own."""
    ordered = sorted(records, key=lambda record: record.started)
    settings = [setting(record, across_llms=across_llms) for record in ordered]
    groups: dict[Setting, list[RunRecord]] = {}
    for known in dict.fromkeys(settings):
        own = (known, replace(known, n=None))
        groups[known] = [run for run, each in zip(ordered, settings, strict=True) if each in own]
    scored = {replace(known, n=None) for known in groups if known.n is not None}
    return {known: runs for known, runs in groups.items() if known.n is not None or known not in scored}


def arms(records: Sequence[RunRecord], *, ignored: Sequence[str] = ()) -> list[Arm]:
    """Return the arms in order of their first run; runs whose settings differ are never one arm.

    Settings whose dotted key begins with one of `ignored` do not count; of runs with one seed those with
    more iterations come first then.
    """
    named: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.started):
        named.setdefault((record.method, record.negatives), []).append(record)
    return [arm for names, runs in named.items() for arm in _variants(*names, runs, tuple(ignored))]


def settings(record: RunRecord) -> dict[str, object]:
    """Return the run's configuration under dotted keys."""
    return _flat(record.config)


def counts(key: str) -> bool:
    """Return whether a setting with this dotted key changes what a run measures.

    >>> counts("trainer.inference_precision"), counts("trainer.threads"), counts("method.objective.beta")
    (True, False, True)
    """
    return key in MEASURED or key.split(".")[0] not in NOT_A_SETTING


def resolved(record: RunRecord) -> dict[str, object]:
    """Return `settings`, with the number formats that the run computed in where it was told "auto".

    They are the record's `precision`, such as "bf16 on nf4 reading in fp16"; where it says something else,
    they stay what the configuration says.
    """
    flat, formats = settings(record), record.precision.split()
    if not formats or formats[0] not in ("bf16", "float32"):
        return flat
    return flat | {
        "trainer.precision": formats[0],
        "trainer.inference_precision": "fp16" if "fp16" in formats else "same",
        "base_llm.quantise": "nf4" if "nf4" in formats else "none",
    }


def _variants(method: str, negatives: str, runs: Sequence[RunRecord], ignored: tuple[str, ...]) -> list[Arm]:
    """Return one arm for each combination of the settings that vary among these runs."""
    flat = [resolved(run) for run in runs]
    keys = {key for each in flat for key in each if counts(key) and not key.startswith(ignored or "\0")}
    varying = [key for key in sorted(keys) if len({repr(each.get(key)) for each in flat}) > 1]
    groups: dict[str, list[RunRecord]] = {}
    chosen: dict[str, tuple[tuple[str, object], ...]] = {}
    for run, each in zip(runs, flat, strict=True):
        differing = tuple((key, each.get(key)) for key in varying)
        groups.setdefault(repr(differing), []).append(run)
        chosen[repr(differing)] = differing
    return [_arm(method, negatives, chosen[name], group) for name, group in groups.items()]


def _arm(
    method: str, negatives: str, differing: tuple[tuple[str, object], ...], runs: Sequence[RunRecord]
) -> Arm:
    """Return the arm of these runs, with one run per seed: the latest that finished, or else the latest."""

    def preference(run: RunRecord) -> tuple[bool, int, str]:
        """Say which run of a seed is taken: finished, then longest, then latest."""
        return run.status == "finished", iterations(run), run.started

    chosen = {run.seed: run for run in sorted(runs, key=preference)}
    older = tuple(
        run
        for run in runs
        if run.status == "finished"
        and run is not chosen[run.seed]
        and iterations(run) == iterations(chosen[run.seed])
    )
    return Arm(method, negatives, differing, tuple(chosen[seed] for seed in sorted(chosen)), older)


def iterations(record: RunRecord) -> int:
    """Return the last iteration that the run has scores of, 0 where there is none."""
    return max((each.iteration or 0 for each in record.evaluations), default=0)


def _flat(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested settings under dotted keys.

    >>> _flat({"seed": 1, "dpo": {"beta": 0.1}})
    {'seed': 1, 'dpo.beta': 0.1}
    """
    flat: dict[str, object] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
