"""What a reader must know of how the runs of a table were made: mixed starts, code, settings, machines."""

from collections.abc import Iterator, Mapping, Sequence

from sprec.records.run_record import RunRecord
from sprec.report.labels import Label
from sprec.report.tables.arms import Arm, is_shared_sft, scored_evaluations, uses_llm
from sprec.report.tables.missing import format_commit, unfinished_note
from sprec.report.tables.run_settings import OF_THE_LLM, changes_results, effective_config
from sprec.report.tables.table_kinds import TableKind
from sprec.report.tables.table_rows import ScoredRun, ScoreRow, arms_of, unvaried_arms

SHARED = (
    *("budget.", "cutoffs", "prompt.", "objective."),
    *("base_llm.lora.", "trainer.loss_per", "trainer.precision"),
)
"""Settings that arms of a comparison usually share, unless one of them varies."""

LIBRARIES = ("torch", "transformers", "peft", "lightning", "tokenizers", "numpy")
"""Those whose versions may change a number; others only show it."""

# The lengths of a dataset's histories, and of how many rows there are scores, which captions say.
BY_DATASET = (
    *("method.baseline.model.length", "ranking.collaborative.model.length"),
    *("budget.test_rows", "budget.valid_rows"),
)

MOST_NAMED = 6


def inconsistencies(kind: TableKind, rows: Sequence[ScoreRow], records: Sequence[RunRecord]) -> list[str]:
    """Return what a reader must know of how rows were made, a line each."""
    return [
        *_different_starts(records),
        *_mixed_starts(records),
        *_mixed_settings(kind, arms_of(rows)),
        *_left_out(kind, records),
        *(note for arm in arms_of(rows) for note in _arm_notes(arm)),
    ]


def _mixed_settings(kind: TableKind, arms: Sequence[Arm]) -> list[str]:
    """Return a note on settings in which arms differ without saying so in their names.

    Those of the objective count between arms of one objective, those of an adapter between arms of one
    base LLM, and those that only an LLM has between arms with one.
    """
    configs = [effective_config(arm.runs[0]) for arm in arms]
    keys = {key for config in configs for key in config if key.startswith(SHARED)} - {kind.factor}
    mixed = []
    for key in sorted(keys):
        groups: dict[object, set[str]] = {}
        for arm, config in zip(arms, configs, strict=True):
            is_read = uses_llm(arm.runs[0]) or not key.startswith(OF_THE_LLM)
            if is_read and key not in dict(arm.differing):  # there the row says its own value
                groups.setdefault(_owner(key, arm, config), set()).add(repr(config.get(key)))
        if any(len(values) > 1 for values in groups.values()):
            mixed.append(key)
    if not mixed:
        return []
    more = f" and {len(mixed) - MOST_NAMED} more" if len(mixed) > MOST_NAMED else ""
    return [f"rows differ in more than their names say: {', '.join(mixed[:MOST_NAMED])}{more}"]


def _owner(key: str, arm: Arm, config: Mapping[str, object]) -> object:
    """Return what an arm must share with another for their values of the setting to be compared."""
    if key.startswith("objective."):
        return config.get("objective._target_")
    return arm.runs[0].weights.digest if key.startswith("base_llm.") else None


def _left_out(kind: TableKind, records: Sequence[RunRecord]) -> list[str]:
    """Return a note on the arms that have no row since nothing varies among their runs."""
    names = [
        f"{arm}" + ("" if arm.finished else f" ({arm.missing[0].status})")
        for arm in unvaried_arms(kind, records)
    ]
    return [f"not varied and left out: {', '.join(names)}"] if names else []


def _arm_notes(arm: Arm) -> Iterator[str]:
    """Yield what is missing or mixed among an arm's seeds."""
    yield from (unfinished_note(str(arm), run) for run in arm.missing)
    for what, values in _conditions(arm.finished).items():
        if len(values) > 1:
            yield f"{arm}: its seeds were run at different {what}: {', '.join(values)}"
    if arm.older:
        yield f"{arm}: {len(arm.older)} older finished run(s) of the same seeds are left out"


def _conditions(runs: Sequence[RunRecord]) -> dict[str, list[str]]:
    """Return the values, each once, of what may change numbers beside the settings."""
    conditions = {
        "commits": [format_commit(run) for run in runs],
        "devices": [run.device.partition(":")[0] for run in runs],
        "engines": [str(run.engine.get("engine", "")) for run in runs],
        **{f"versions of {name}": [run.versions.get(name, "") for run in runs] for name in LIBRARIES},
    }
    return {what: list(dict.fromkeys(filter(None, values))) for what, values in conditions.items()}


def _different_starts(records: Sequence[RunRecord]) -> list[str]:
    """Return a note for each seed whose runs did not start from the same initial SFT model."""
    starts: dict[tuple[str, int, tuple[str, bool]], list[Mapping[str, float]]] = {}
    for record in records:
        initial = [one for one in scored_evaluations(record) if is_shared_sft(record, one)]
        if initial:
            # Records name no weights of the initial SFT; equal scores to the last digit stand for them.
            kind = ScoredRun(record, initial[0]).list_kind
            models = starts.setdefault((record.weights.digest, record.seed, kind), [])
            if not any(_agree(initial[0].scores, other) for other in models):
                models.append(initial[0].scores)
    notes = (
        f"seed {seed}: the runs start from {len(models)} different initial SFT models, or rank one in "
        "several ways; the first is shown"
        for (_, seed, _), models in sorted(starts.items())
        if len(models) > 1
    )
    return list(dict.fromkeys(notes))


def _agree(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Return whether scores that both have are equal to the last digit; cut-offs may differ."""
    return all(repr(one[key]) == repr(other[key]) for key in one.keys() & other)


def _mixed_starts(records: Sequence[RunRecord]) -> list[str]:
    """Return a note on settings in which the initial SFT models of different seeds differ."""
    by_seed: dict[tuple[str, int], dict[str, object]] = {}
    for record in records:
        if any(is_shared_sft(record, one) for one in scored_evaluations(record)):
            settings = {key: value for key, value in effective_config(record).items() if _is_of_start(key)}
            by_seed.setdefault((record.weights.digest, record.seed), settings)
    notes = []
    for digest in dict.fromkeys(digest for digest, _ in by_seed):
        own = [settings for (other, _), settings in by_seed.items() if other == digest]
        keys = sorted({key for settings in own for key in settings})
        mixed = [key for key in keys if len({repr(settings.get(key)) for settings in own}) > 1]
        if mixed:
            notes.append(f"the initial SFT of different seeds differs in {', '.join(mixed)}")
    return notes


def differing_settings(rows: Mapping[Label, ScoreRow]) -> str:
    """Return the settings, with their values, in which a row's runs on several datasets differ, else ""."""
    configs = {of: settings for of, row in rows.items() if (settings := _row_settings(row))}
    keys = sorted({key for settings in configs.values() for key in settings})
    values = {key: {of: _text(settings.get(key)) for of, settings in configs.items()} for key in keys}
    unlike = {key: by_data for key, by_data in values.items() if len(set(by_data.values())) > 1}
    texts = [
        f"{key} ({', '.join(f'{of}: {value}' for of, value in by_data.items())})"
        for key, by_data in unlike.items()
    ]
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return f"{', '.join(texts[:MOST_NAMED])}{more}"


def _text(value: object) -> str:
    """Return a setting's value as people read it; 1 and 1.0 are one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _row_settings(row: ScoreRow) -> dict[str, object]:
    """Return the settings that a row's numbers hang on, but for those that come with its dataset."""
    is_start = row.is_initial
    # The most popular items, which are no arm either, hang on the data alone.
    if not row.by_seed or (row.arm is None and not is_start):
        return {}
    record = next(iter(row.by_seed.values())).record
    llm = uses_llm(record)
    return {
        key: value
        for key, value in effective_config(record).items()
        if (_is_of_start(key) if is_start else changes_results(key))
        and (llm or not key.startswith(OF_THE_LLM))
        and not key.startswith(BY_DATASET)
    }


def _is_of_start(key: str) -> bool:
    """Return whether a setting changes the initial SFT."""
    groups = ("budget.initial.", "budget.sft_rows", "base_llm.", "prompt.", "trainer.")
    return key.startswith(groups) and changes_results(key)
