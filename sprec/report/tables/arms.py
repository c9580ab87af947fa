"""Which runs may stand in one table, and which of them are one arm at several seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sprec.records.run_record import Evaluation, RunRecord
from sprec.report.labels import (
    LABELS,
    METHODS,
    RANKINGS,
    USUAL_OBJECTIVES,
    Labels,
    method_order,
    split_negatives,
)
from sprec.report.tables.run_settings import changes_results, effective_config, flatten_config

INITIAL_LABEL = "initial_sft"

ITERATIONS = "budget.iterations"
RANKER = "ranking._target_"
OBJECTIVE = "objective._target_"
BASELINE_RANKING = "all items"
"""How arms without an LLM rank, which their name says already."""


@dataclass(frozen=True)
class ComparisonSetting:
    """What runs that may be compared share; `n` counts the scored rows of `split`, None where none is."""

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

    `differing` holds the settings (dotted key, value) that tell it from other arms of the same two names.
    `older` are finished runs of the same seeds that are left out.
    """

    method: str
    negatives: str
    differing: tuple[tuple[str, object], ...]
    runs: tuple[RunRecord, ...]
    older: tuple[RunRecord, ...] = ()

    def __str__(self) -> str:
        return self.name()

    def name(self, labels: Labels = LABELS, ranking: str | None = "") -> str:
        """Return what people read for the arm: method, negatives if unusual, and settings of its own.

        What people read for a `ranking` stands in place of its key; None leaves out all settings of rankings.
        """
        name = labels.with_negatives(labels.method(self.method), self.method, self.negatives)
        own = self.settings_but_ranking if ranking is None else self.variant(*["ranking"] * bool(ranking))
        details = ", ".join(filter(None, (own, ranking)))
        return name.extended(f" ({details})") if details else name

    @property
    def settings_but_ranking(self) -> str:
        """The settings that tell the arm from others of its names, whatever ranked its lists."""
        return self.variant(*(key for key, _ in self.differing if key.partition(".")[0] == "ranking"))

    def variant(self, *without: str) -> str:
        """Return the settings that tell the arm from others of its names, but for the keys in `without`."""
        return ", ".join(f"{key}={value}" for key, value in self.differing if key not in without)

    @property
    def ranking(self) -> str:
        """What ranks the arm's lists where that tells it from other arms, else ""."""
        return str(dict(self.differing).get("ranking", ""))

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """The runs that ended well, by seed."""
        return tuple(run for run in self.runs if run.status == "finished")

    @property
    def missing(self) -> tuple[RunRecord, ...]:
        """The runs that failed or have not ended, by seed."""
        return tuple(run for run in self.runs if run.status != "finished")


def scored_split(record: RunRecord) -> str:
    """Return the split whose scores count: "valid" for a run that scored, or was to score, only such rows."""
    splits = {evaluation.split for evaluation in record.evaluations}
    # A run that failed before it was scored stands in the table of the rows that it was to score.
    if not splits:
        return "valid" if record.config.get("split") == "valid" else "test"
    return "valid" if splits == {"valid"} else "test"


def scored_evaluations(record: RunRecord) -> tuple[Evaluation, ...]:
    """Return the evaluations on one split, baselines first, then by iteration; the last of a repeated one."""
    # Scores of test rows and of validation rows never stand in one table.
    split = scored_split(record)
    latest = {(one.label, one.ranking): one for one in record.evaluations if one.split == split}
    return tuple(sorted(latest.values(), key=lambda one: -1 if one.iteration is None else one.iteration))


def last_evaluation(record: RunRecord, ranking: str) -> Evaluation | None:
    """Return the evaluation of the run's last iteration under this ranking, None where there is none."""
    iterated = [
        one for one in scored_evaluations(record) if one.iteration is not None and one.ranking == ranking
    ]
    return iterated[-1] if iterated else None


HISTORY_LABELS = {True: "without history", False: "with history"}
"""What tells lists apart that are or are not without what their user has had already."""


def excludes_history(record: RunRecord) -> bool:
    """Return whether the run's lists, of baselines too, are without what their user has had already."""
    ranking = record.config.get("ranking")
    return isinstance(ranking, Mapping) and ranking.get("exclude_history") is True


def splits_by_history(records: Iterable[RunRecord]) -> bool:
    """Return whether some lists are without what their user has had, and some with it."""
    return len({excludes_history(record) for record in records if scored_evaluations(record)}) > 1


def rankings_of(records: Iterable[RunRecord]) -> tuple[str, ...]:
    """Return the rankings under which arms were scored, in order of appearance."""
    evaluations = (one for record in records for one in scored_evaluations(record))
    return tuple(dict.fromkeys(one.ranking for one in evaluations if one.iteration is not None))


def uses_llm(record: RunRecord) -> bool:
    """Return whether an LLM is part of the run's model, as its rankings say, or else its configuration."""
    rankings = rankings_of([record])
    if rankings:
        return set(rankings) != {BASELINE_RANKING}
    flat = flatten_config(record.config)
    return all(value is None for key, value in flat.items() if key.startswith("method.baseline"))


def is_shared_sft(record: RunRecord, evaluation: Evaluation) -> bool:
    """Return whether the evaluation is of the initial SFT that arms share, and not of another one."""
    # Reweighted, guided and counterfactual SFT are methods of their own: theirs is nobody else's start.
    flat = flatten_config(record.config)
    own = ("method.weighting", "method.counterfactual")
    plain = all(value is None for key, value in flat.items() if key.startswith(own))
    goes_on = flat.get("method.with_sft", True) or flat.get("method.with_dpo", True)
    starts = record.method == "sft" or (plain and bool(goes_on))
    return evaluation.label == INITIAL_LABEL and starts


def names_rankings(records: Iterable[RunRecord]) -> bool:
    """Return whether rows need their ranking in their name: LLMs were scored under more than one."""
    return len(set(rankings_of(records)) - {BASELINE_RANKING}) > 1


def comparison_setting(record: RunRecord, *, across_llms: bool = False) -> ComparisonSetting:
    """Return what other runs must share with this one to be compared with it, the base LLM or not."""
    rows = [evaluation.n for evaluation in scored_evaluations(record)]
    return ComparisonSetting(
        dataset=record.dataset.name,
        dataset_digest=record.dataset.digest,
        base_llm="" if across_llms else record.weights.name,
        base_llm_digest="" if across_llms else record.weights.digest,
        n=rows[-1] if rows else None,
        split=scored_split(record),
    )


def group_by_setting(
    records: Sequence[RunRecord], *, across_llms: bool = False
) -> dict[ComparisonSetting, list[RunRecord]]:
    """Return the runs per setting, oldest first; a run without scores joins all that may be its own."""
    ordered = sorted(records, key=lambda record: record.started)
    # A run that failed before it was scored has no N; each table that it may belong to names it as missing.
    settings = [comparison_setting(record, across_llms=across_llms) for record in ordered]
    groups: dict[ComparisonSetting, list[RunRecord]] = {}
    for setting in dict.fromkeys(settings):
        own = (setting, replace(setting, n=None))
        groups[setting] = [run for run, other in zip(ordered, settings, strict=True) if other in own]
    scored = {replace(setting, n=None) for setting in groups if setting.n is not None}
    return {
        setting: runs for setting, runs in groups.items() if setting.n is not None or setting not in scored
    }


def group_into_arms(records: Sequence[RunRecord], *, ignored: Sequence[str] = ()) -> list[Arm]:
    """Return the arms in the order of the registry, then of their first run.

    Runs whose settings differ are never one arm. Settings whose dotted key begins with one of `ignored` do
    not count; of runs with one seed those with more iterations come first then.
    """
    named: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.started):
        named.setdefault((arm_method(record), record.negatives), []).append(record)
    ordered = sorted(named.items(), key=lambda entry: method_order(entry[0][0]))
    return [arm for names, runs in ordered for arm in _split_variants(*names, runs, tuple(ignored))]


def arm_method(record: RunRecord) -> str:
    """Return the method's key; self-play with random negatives has one name, however it was asked for."""
    random = record.method == "sprec" and split_negatives(record.negatives) == ("random", [])
    return "random_negatives" if random else record.method


def iterations_scored(record: RunRecord) -> int:
    """Return the last iteration that the run has scores of, 0 where there is none."""
    return max((evaluation.iteration or 0 for evaluation in record.evaluations), default=0)


def _split_variants(
    method: str, negatives: str, runs: Sequence[RunRecord], ignored: tuple[str, ...]
) -> list[Arm]:
    """Return one arm for each combination of the settings that vary among these runs."""
    configs = [effective_config(run) for run in runs]
    keys = {
        key for config in configs for key in config if changes_results(key) and not key.startswith(ignored)
    }
    varying = [key for key in sorted(keys) if _varies(key, configs) and not key.startswith("ranking.")]
    rankers_vary = _varies(RANKER, configs) and RANKER in keys
    # Values may be lists, which no dictionary takes as keys, so that their text stands for them.
    groups: dict[str, list[RunRecord]] = {}
    values: dict[str, tuple[tuple[str, object], ...]] = {}
    for run, config in zip(runs, configs, strict=True):
        alike = [one for one in configs if one.get(RANKER) == config.get(RANKER)]
        own = [key for key in sorted(keys) if key.startswith("ranking.") and _varies(key, alike)]
        ranking = [("ranking", _ranking_name(run, runs))] if rankers_vary else []
        objective = _unusual_objective(method, negatives, config) if OBJECTIVE not in varying else []
        differing = (*((key, config.get(key)) for key in (*varying, *own)), *objective, *ranking)
        name = repr([(key, _plain(value)) for key, value in differing])
        groups.setdefault(name, []).append(run)
        values.setdefault(name, differing)
    return [_latest_per_seed(method, negatives, values[name], group) for name, group in groups.items()]


def _ranking_name(run: RunRecord, others: Sequence[RunRecord]) -> str:
    """Return what ranked the run's lists; of one without scores, as others with its ranker call theirs."""
    if rankings := rankings_of([run]):
        return "+".join(rankings)
    if not uses_llm(run):
        return BASELINE_RANKING
    ranker = run.config.get("ranking")
    alike = (rankings_of([other]) for other in others if other.config.get("ranking") == ranker)
    if rankings := next(filter(None, alike), ()):
        return "+".join(rankings)
    target = str(flatten_config(run.config).get(RANKER, "unknown")).rpartition(".")[2]
    # Scores hold the name of a ranker, which for ours is that of its class, without "Ranker".
    name = target.removesuffix("Ranker").lower()
    return name if name in RANKINGS else target


def _unusual_objective(method: str, negatives: str, config: Mapping[str, object]) -> list[tuple[str, object]]:
    """Return the objective as a setting of the arm's own where it is not the one that its name stands for."""
    target = config.get(OBJECTIVE)
    usual = USUAL_OBJECTIVES.get(method, "dpo")
    is_usual = not isinstance(target, str) or target.rpartition(".")[2] == usual
    return [] if is_usual or negatives == "none" or method not in METHODS else [(OBJECTIVE, target)]


def _varies(key: str, configs: Sequence[Mapping[str, object]]) -> bool:
    return len({repr(_plain(config.get(key))) for config in configs}) > 1


def _plain(value: object) -> object:
    """Return whole numbers as floats: 1 and 1.0 are one setting."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _latest_per_seed(
    method: str, negatives: str, differing: tuple[tuple[str, object], ...], runs: Sequence[RunRecord]
) -> Arm:
    """Return the arm of these runs, with one run per seed: the latest that finished, or else the latest."""

    def preference(run: RunRecord) -> tuple[bool, int, str]:
        return run.status == "finished", iterations_scored(run), run.started

    # The last of equal keys wins, and that is the preferred run.
    chosen = {run.seed: run for run in sorted(runs, key=preference)}
    older = tuple(
        run
        for run in runs
        if run.status == "finished"
        and run is not chosen[run.seed]
        and iterations_scored(run) == iterations_scored(chosen[run.seed])
    )
    return Arm(method, negatives, differing, tuple(chosen[seed] for seed in sorted(chosen)), older)
