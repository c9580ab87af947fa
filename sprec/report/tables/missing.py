"""What a table lacks, and the command that fills it."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from sprec.records.output_folder import find_unrecorded, fresh_command
from sprec.records.run_record import RunRecord
from sprec.report.labels import LABELS, takes_any_negatives
from sprec.report.tables.arms import Arm, group_into_arms, scored_evaluations, scored_split
from sprec.report.tables.run_settings import computed_settings, flatten_config
from sprec.report.tables.table_kinds import TableKind
from sprec.report.tables.table_rows import ScoreRow, arms_of, is_shared_arm


def scored_records(rows: Sequence[ScoreRow], records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return those of the records whose numbers stand in these rows, all of them where none has any."""
    sources = {id(run.record) for row in rows for run in row.by_seed.values()}
    return [record for record in records if id(record) in sources] or list(records)


def source_line(records: Sequence[RunRecord]) -> str:
    """Return the line that tells where numbers come from: N, seeds, commits, dataset and base LLM."""
    counts = sorted({one.n for record in records for one in scored_evaluations(record)})
    rows = " validation rows" if "valid" in map(scored_split, records) else ""
    parts = {
        "N": [f"{n}{rows}" for n in counts] or ["unknown"],
        "seeds": [str(seed) for seed in sorted({record.seed for record in records})],
        "commit": [format_commit(record) for record in records],
        "dataset": [f"{record.dataset.name} ({record.dataset.digest[:12]})" for record in records],
        "base LLM": [f"{record.weights.name} ({record.weights.digest[:12]})" for record in records],
    }
    line = "; ".join(f"{name} {', '.join(dict.fromkeys(values))}" for name, values in parts.items())
    foreign = {stage.key for record in records for stage in record.stages if stage.other_code}
    return f"{line}; {len(foreign)} stages made by other code (store.accept=any_code)" if foreign else line


def format_commit(record: RunRecord, *, digits: int = 10) -> str:
    """Return the run's commit and whether the working tree had changes."""
    return (record.commit or "unknown")[:digits] + (" (dirty)" if record.dirty else "")


def missing_runs(kind: TableKind, rows: Sequence[ScoreRow], records: Sequence[RunRecord]) -> list[str]:
    """Return a note for each cell without a run, with the command that would fill it."""
    # The most popular items have a row that all runs share, and are an arm of a sweep all the same.
    hidden = (arm for arm in group_into_arms(records) if arm.method != "sft" and is_shared_arm(arm))
    arms = [*arms_of(rows), *hidden]
    seeds = sorted({record.seed for record in records})
    notes = [
        f"{arm}: no run with seed {seed}; to run it: {_seed_command(arm, seed)}"
        for arm in arms
        for seed in seeds
        if seed not in {run.seed for run in arm.runs}
    ]
    run_methods = {arm.method for arm in arms}
    if not run_methods & set(kind.options):
        return notes
    example = next(arm.runs[0] for arm in arms if arm.method in kind.options)
    return notes + [
        f"{LABELS.method(name)}: never run; to run it: {rerun_command(example, {'method': name})}"
        for name in kind.options
        if name not in run_methods
    ]


def unfinished_note(name: str, record: RunRecord) -> str:
    """Return the note on a run that failed or has not ended, with the command that runs it again."""
    reason = f" ({record.error.splitlines()[0]})" if record.error else ""
    state = "still running, or stopped" if record.status == "running" else record.status
    return f"{name}, seed {record.seed}: {state}{reason}; to run it again: {fresh_command(record.command)}"


def unrecorded_notes(paths: Sequence[Path], sweep: str | None = None) -> list[str]:
    """Return a note on each run below these paths that ended before it had a record; None: of any sweep."""
    return [
        f"{' '.join(claim.choices) or folder}: {claim.error or 'still running, or stopped'}; "
        f"to run it again: {fresh_command(claim.command)}"
        for folder, claim in find_unrecorded(paths)
        if sweep is None or claim.sweep == sweep
    ]


def _seed_command(arm: Arm, seed: int) -> str:
    """Return the command that runs the arm at this seed, on whichever machine."""
    run = arm.runs[0]
    # "auto" would be another number format, and so another arm, on a machine of another kind.
    named = dict(arm.differing)
    formats = {key: _quote(value) for key, value in computed_settings(run).items() if key in named}
    return rerun_command(run, {"seed": str(seed), **formats})


def rerun_command(record: RunRecord, changes: dict[str, str]) -> str:
    """Return the run's command as a single run with other settings.

    A command of a sweep loses its grids; what this job was among them comes from its configuration.

    >>> from types import SimpleNamespace
    >>> sweep = "python -m sprec.run dataset=toy +sweep=ablation seed=0,1 -m"
    >>> run = SimpleNamespace(command=sweep, seed=1, method="sprec", config={})
    >>> rerun_command(run, {"method": "without_sft"})
    'python -m sprec.run dataset=toy seed=1 method=without_sft'
    """
    flat = flatten_config(record.config)
    values = {"seed": str(record.seed), "method": str(flat.get("method.name", record.method))} | changes
    typed = _split_words(record.command)
    words = typed[:3]  # python -m sprec.run
    for word in typed[3:]:
        key, _, value = word.partition("=")
        if word in ("-m", "--multirun") or key in (*changes, "seed", "+sweep", "hydra.sweep.dir"):
            continue
        if "method" in changes and key.startswith("negatives") and not takes_any_negatives(changes["method"]):
            continue  # they would win over the new method's own
        # Which of a grid's values this job had stands in its configuration.
        known = {**values, **flat}
        words.append(f"{key}={_quote(known[key])}" if _is_grid(value) and key in known else word)
    wanted = {"seed": values["seed"], **changes}
    if "+sweep=" in record.command and "method" not in changes:
        wanted = {"method": values["method"], **wanted}
    command = shlex.join([*words, *(f"{key}={value}" for key, value in wanted.items())])
    return fresh_command(command, name="-".join(f"{values['method']}-{values['seed']}".split("/")))


def _is_grid(value: str) -> bool:
    """Return whether an override's value is a list of values to sweep over, and not one value with a comma.

    >>> [_is_grid(text) for text in ("0,1", "choice(a,b)", "[1,5]", "'a, b'", "{a:{b:1,c:2},d:3}")]
    [True, True, False, False, False]
    """
    bare, count = re.sub(r"""'[^']*'|"[^"]*\"""", "", value), 1
    while count:  # the innermost brackets go first
        bare, count = re.subn(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}", "", bare)
    return "," in bare


def _quote(value: object) -> str:
    """Return a value as Hydra reads it back.

    >>> _quote(1e-3), _quote("a/b"), _quote("a, b"), _quote(None)
    ('0.001', 'a/b', "'a, b'", 'null')
    """
    text = "null" if value is None else str(value)
    plain = not isinstance(value, str) or re.fullmatch(r"[\w./:@+-]+", text)
    return text if plain else "'" + text.replace("'", "\\'") + "'"


def _split_words(command: str) -> list[str]:
    """Return the words of a command, split at spaces where a quote is left open.

    >>> _split_words("python -m sprec.run 'a b'"), _split_words("python -m sprec.run it's")
    (['python', '-m', 'sprec.run', 'a b'], ['python', '-m', 'sprec.run', "it's"])
    """
    try:
        return shlex.split(command)
    except ValueError:
        # A record of old may hold what no shell takes; a rough split still names the run.
        return command.split()
