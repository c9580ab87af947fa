"""What a table lacks or mixes, and the command that fills it."""

import shlex
from collections.abc import Sequence

from sprec.records.run_record import RunRecord
from sprec.report.tables.arms import Arm, settings, tested
from sprec.report.tables.table_kinds import Kind
from sprec.report.tables.table_rows import INITIAL_LABEL, Row


def remarks(rows: Sequence[Row], records: Sequence[RunRecord]) -> list[str]:
    """Return what a reader must know of how rows were made: mixed starts, commits, repeated runs."""
    return [*_differing(records), *(note for arm in _arms(rows) for note in _notes(arm))]


def gaps(kind: Kind, rows: Sequence[Row], records: Sequence[RunRecord]) -> list[str]:
    """Return a note for each cell without a run, with the command that would fill it."""
    arms = _arms(rows)
    seeds = sorted({record.seed for record in records})
    absent = [
        f"{arm}: no run with seed {seed}; to run it: {command(arm.runs[0], {'seed': str(seed)})}"
        for arm in arms
        for seed in seeds
        if seed not in {run.seed for run in arm.runs}
    ]
    there = {run.method for arm in arms for run in arm.runs}
    never = [option for option in kind.options if option not in there]
    if not there & set(kind.options):
        return absent
    model = next(arm.runs[0] for arm in arms if arm.method in kind.options)
    return [
        *absent,
        *(f"{name}: never run; to run it: {command(model, {'method': name})}" for name in never),
    ]


def unfinished(name: str, record: RunRecord) -> str:
    """Return the note on a run that failed or has not ended, with the command that runs it again."""
    reason = f" ({record.error.splitlines()[0]})" if record.error else ""
    state = "still running, or stopped" if record.status == "running" else record.status
    return f"{name}, seed {record.seed}: {state}{reason}; to run it again: {record.command}"


def command(record: RunRecord, changes: dict[str, str]) -> str:
    """Return the run's command as a single run with other settings.

    A command of a sweep loses its grids; what this job was among them comes from its configuration.

    >>> from types import SimpleNamespace
    >>> sweep = "python -m sprec.run dataset=toy +sweep=ablation seed=0,1 -m"
    >>> run = SimpleNamespace(command=sweep, seed=1, method="sprec", config={})
    >>> command(run, {"method": "without_sft"})
    'python -m sprec.run dataset=toy seed=1 method=without_sft'
    """
    flat = settings(record)
    known = {"seed": str(record.seed), "method": str(flat.get("method.name", record.method))} | changes
    given = _words(record.command)
    words = given[:3]  # python -m sprec.run
    for word in given[3:]:
        key, _, value = word.partition("=")
        if word in ("-m", "--multirun") or key in (*changes, "seed", "+sweep", "hydra.sweep.dir"):
            continue
        words.append(f"{key}={flat.get(key, known.get(key, value))}" if "," in value else word)
    wanted = {"seed": known["seed"], **changes}
    if "+sweep=" in record.command and "method" not in changes:
        wanted = {"method": known["method"], **wanted}
    return shlex.join([*words, *(f"{key}={value}" for key, value in wanted.items())])


def _words(command: str) -> list[str]:
    """Return the words of a command, cut at spaces where a quote is left open.

    >>> _words("python -m sprec.run 'a b'"), _words("python -m sprec.run it's")
    (['python', '-m', 'sprec.run', 'a b'], ['python', '-m', 'sprec.run', "it's"])
    """
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def commit(record: RunRecord) -> str:
    """Return the run's commit, short, and whether the working tree had changes."""
    return (record.commit or "unknown")[:10] + (" (dirty)" if record.dirty else "")


def _arms(rows: Sequence[Row]) -> list[Arm]:
    return list({id(row.arm): row.arm for row in rows if row.arm is not None}.values())


def _notes(arm: Arm) -> list[str]:
    notes = [unfinished(str(arm), run) for run in arm.missing]
    commits = list(dict.fromkeys(commit(run) for run in arm.finished))
    if len(commits) > 1:
        notes.append(f"{arm}: its seeds were run at different commits: {', '.join(commits)}")
    if arm.older:
        notes.append(f"{arm}: {len(arm.older)} older finished run(s) of the same seeds are left out")
    return notes


def _differing(records: Sequence[RunRecord]) -> list[str]:
    """Return a note for each seed whose runs did not start from the same initial SFT model."""
    starts: dict[tuple[str, int], set[tuple[tuple[str, str], ...]]] = {}
    for record in records:
        scores = [each.scores for each in tested(record) if each.label == INITIAL_LABEL]
        if scores:
            known = tuple(sorted((key, repr(value)) for key, value in scores[0].items()))
            starts.setdefault((record.weights.digest, record.seed), set()).add(known)
    return [
        f"seed {seed}: the runs start from {len(known)} different initial SFT models, the first is shown"
        for (_, seed), known in sorted(starts.items())
        if len(known) > 1
    ]
