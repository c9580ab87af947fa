"""A reader's own names for what a report shows, from a TOML file: `--rename FILE`."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from sprec.boundaries import suggest
from sprec.evaluation.registry import METRICS, split_key
from sprec.records.run_record import RunRecord
from sprec.report.labels import REGISTRIES, Kind, Label, Labels, Renamed, same_name, split_negatives
from sprec.report.tables.arms import arm_method

Names = Mapping[Kind, Sequence[str]]


def load_renames(path: Path, records: Sequence[RunRecord] = ()) -> Labels:
    """Return the labels with those of a TOML file: a line per name, `sprec = "Ours"`.

    A name is a key or a label of ours, a score such as "HR@5", or a name of somebody's own that stands in
    these records; its value is a text, or a table with `text` and `latex`. What is a name of two kinds needs
    its kind before it: `ranking.grounded = "…"`. `ValueError`, one line with file and name, for what is no
    such file, for a name that nothing has, and where two names would read alike.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return Labels(_parse_names(document, _recorded_names(records)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parse_names(document: Mapping[str, object], recorded: Names) -> Renamed:
    renamed: dict[tuple[Kind, str], Label] = {}
    typed: dict[tuple[Kind, str], str] = {}
    for kinds, name, value in _entries(document):
        target = _find_target(name, kinds, recorded)
        if typed.setdefault(target, name) != name or target in renamed:
            raise ValueError(f"{typed[target]} and {name} are one name; leave one of the lines out")
        renamed[target] = _parse_label(name, value, _default_text(*target))
    _refuse_equal_texts(renamed, recorded)
    return renamed


def _entries(document: Mapping[str, object]) -> Iterator[tuple[Sequence[Kind], str, object]]:
    """Yield each name with the kinds that it may be of, and its value."""
    for name, value in document.items():
        of_kind = [kind for kind in REGISTRIES if kind == name]
        if of_kind and isinstance(value, dict) and not set(value) <= {"text", "latex"}:
            yield from ((of_kind, inner, entry) for inner, entry in value.items())
        else:
            yield list(REGISTRIES), name, value


def _parse_label(name: str, value: object, default: str) -> Label:
    entry = {"text": value} if isinstance(value, str) else value
    if isinstance(entry, dict) and entry and set(entry) <= {"text", "latex"}:
        text, latex = entry.get("text", default), entry.get("latex", "")
        if isinstance(text, str) and isinstance(latex, str) and text.strip():
            return Label(text, latex)
    raise ValueError(f'{name} is no text; write {name} = "…", or {{text = "…", latex = "…"}}')


def _find_target(name: str, kinds: Sequence[Kind], recorded: Names) -> tuple[Kind, str]:
    """Return the kind and the key of what has this key or label."""
    metric, cutoff = split_key(name)
    targets: list[tuple[Kind, str]] = []
    known: list[str] = []
    for kind in kinds:
        for key in dict.fromkeys([*REGISTRIES[kind], *recorded.get(kind, ())]):
            words = key, _default_text(kind, key)
            known += words
            if any(same_name(name, word) for word in words):
                targets.append((kind, key))
            has_cutoff = kind == "metric" and (key not in METRICS or METRICS[key].has_cutoff)
            # A score of one list length; the metric's own new name is for all others.
            if cutoff is not None and has_cutoff and any(same_name(metric, word) for word in words):
                targets.append((kind, f"{key}@{cutoff}"))
    if len(targets) > 1:
        choices = " or ".join(f"{kind}.{key}" for kind, key in targets)
        raise ValueError(f"{name} is a name of {len(targets)} things; write {choices}")
    if not targets:
        near = suggest(name, list(dict.fromkeys(known)))
        raise ValueError(
            f"nothing is called {name!r}{near or '; write a key or label of ours, or one in these records'}"
        )
    return targets[0]


def _default_text(kind: Kind, key: str) -> str:
    """Return what people read for a key that is not renamed."""
    text: str = getattr(Labels(), "score" if kind == "metric" else kind)(key)
    return text


def _refuse_equal_texts(renamed: Renamed, recorded: Names) -> None:
    """Raise `ValueError` where two things of a kind would have one name: their rows would be one."""
    for kind in REGISTRIES:
        own = {key: str(label) for (of, key), label in renamed.items() if of == kind}
        texts = {key: _default_text(kind, key) for key in recorded.get(kind, ())} | own
        for one, other in combinations(texts, 2):
            # What is neither renamed nor in these records meets nothing in a table.
            meet = {one, other} <= own.keys() or {one, other} <= set(recorded.get(kind, ()))
            if meet and texts[one] == texts[other] and {one, other} & own.keys():
                raise ValueError(f"{one} and {other} would both read {texts[one]!r}; rename one of them")


def _recorded_names(records: Sequence[RunRecord]) -> Names:
    """Return the keys of what stands in these records, by kind."""
    evaluations = [one for record in records for one in record.evaluations]
    methods = [*map(arm_method, records), *(record.method for record in records)]
    names: dict[Kind, list[str]] = {
        "method": [*methods, *(one.label for one in evaluations)],
        "negatives": [split_negatives(record.negatives)[0] for record in records],
        "ranking": [one.ranking for one in evaluations],
        "dataset": [record.dataset.name for record in records],
        "base_llm": [record.weights.name for record in records],
        "metric": [split_key(key)[0] for one in evaluations for key in one.scores],
    }
    return {kind: list(dict.fromkeys(keys)) for kind, keys in names.items()}
