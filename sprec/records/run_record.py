"""One run, one `run.json`: everything needed to trust or repeat its numbers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sprec.records.from_json import decode, plain
from sprec.records.migrations import migrated
from sprec.records.redaction import redact, redact_text
from sprec.records.shown_items import Columns, Items, columns
from sprec.records.shown_items import Item as Item
from sprec.store.atomic_files import write_whole

SCHEMA = 2
"""The layout of `run.json` that is written here; older ones are migrated when they are read."""

BULKY = frozenset({"curves", "items", "shown"})
"""Fields that are written on one line each."""

FILE_NAME = "run.json"
"""The name under which a run's folder holds its record."""


class RecordError(ValueError):
    """A record that cannot be read or written; the message is one line and names the file."""


@dataclass(frozen=True)
class Rows:
    """Number of examples per split."""

    train: int
    valid: int
    test: int


@dataclass(frozen=True)
class DatasetEntry:
    """The data behind a run: `digest` tells two builds of one name apart."""

    name: str
    digest: str
    items: int
    rows: Rows


@dataclass(frozen=True)
class WeightsEntry:
    """The base LLM's weights."""

    name: str
    digest: str


@dataclass(frozen=True)
class StageEntry:
    """One stage: `seconds` is what computing took, in this run or, where `reused`, in an earlier one."""

    name: str
    label: str
    key: str
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Evaluation:
    """Scores of one model over `n` users (N), of whom `n_in_catalog` have a target in the catalogue (N').

    `iteration` is None where nothing is iterated. A score of NaN means "not defined here". `lists` are
    the recommended ids `[n, k]` as `sprec.records.packed_ids.packed` writes them, "" where they are unknown;
    `written` are the titles that the model wrote for the `shown` users, empty where nothing writes.
    """

    label: str
    iteration: int | None
    n: int
    n_in_catalog: int
    scores: Mapping[str, float]
    ranking: str
    split: str
    lists: str = ""
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A scored row by its number, whose titles can be looked at: ids of history (oldest first) and target."""

    row: int
    history: tuple[int, ...]
    target: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What `run.json` says, field by field; times are ISO 8601 in UTC.

    `drops` counts, per label and reason, what was left out of training or evaluation. `targets` are the
    next items `[n, 1]` of the scored rows, packed as lists are; `items` has every item, by id as text,
    that stands in a list, a target or a shown history. `history_genres` is GH: each selected genre's share
    in the scored rows' histories. `curves` holds, per stage label, loss and margin (nats) over the
    optimiser's steps, thinned. `tracker` is the W&B run's address or id, "" without one.
    """

    command: str
    started: str
    config: Mapping[str, object]
    seed: int
    commit: str | None
    dirty: bool
    versions: Mapping[str, str]
    threads: int
    device: str
    precision: str
    dataset: DatasetEntry
    weights: WeightsEntry
    method: str
    negatives: str
    stages: tuple[StageEntry, ...] = ()
    drops: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    targets: str = ""
    items: Mapping[str, Item] = field(default_factory=dict)
    history_genres: Mapping[str, float] = field(default_factory=dict)
    shown: tuple[Shown, ...] = ()
    curves: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    tracker: str = ""
    status: Literal["running", "finished", "failed"] = "running"
    finished: str | None = None
    error: str | None = None
    schema: int = SCHEMA

    def with_stage(self, stage: StageEntry) -> "RunRecord":
        """Return the record with one more stage."""
        return replace(self, stages=(*self.stages, stage))

    def with_evaluation(self, evaluation: Evaluation) -> "RunRecord":
        """Return the record with one more evaluation."""
        return replace(self, evaluations=(*self.evaluations, evaluation))

    def with_drops(self, label: str, counts: Mapping[str, int]) -> "RunRecord":
        """Return the record in which `label` dropped `counts` rows per reason."""
        return replace(self, drops={**self.drops, label: dict(counts)})

    def with_curve(self, label: str, curve: Mapping[str, tuple[float, ...]]) -> "RunRecord":
        """Return the record in which the stage `label` has these values over its steps."""
        return replace(self, curves={**self.curves, label: dict(curve)})

    def as_finished(self) -> "RunRecord":
        """Return the record of a run that ended well, now."""
        return replace(self, status="finished", finished=now(), error=None)

    def as_failed(self, error: str) -> "RunRecord":
        """Return the record of a run that `error` ended, now."""
        return replace(self, status="failed", finished=now(), error=error)

    @classmethod
    def load(cls, path: Path) -> "RunRecord":
        """Read a record; raises `RecordError` where the file is absent, broken or of a newer schema."""
        document = migrated(_read(path), SCHEMA)
        _check_schema(document, path)
        try:
            items = decode(Columns, document.get("items"), "items")
            return replace(decode(cls, {**document, "items": {}}), items=Items(items))
        except ValueError as error:
            raise RecordError(f"{path}: {error}; run again, or leave the file out") from error

    def save(self, path: Path) -> None:
        """Write the record to `path`, whole or not at all, with secrets replaced by `***`.

        Raises `RecordError` for a configuration that JSON cannot hold, `OSError` for a full disk.
        """
        clean = replace(
            self,
            config={name: redact(value, name) for name, value in self.config.items()},
            command=redact_text(self.command),
            error=None if self.error is None else redact_text(self.error),
            items={},
        )
        try:
            text = _text({**plain(clean), "items": plain(columns(self.items))})
        except (TypeError, ValueError) as error:
            raise RecordError(f"{path} cannot be written: {error}; use plain finite values") from error
        write_whole(path, text + "\n")


def find_records(paths: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Return the records at these files and anywhere below these folders, each once, sorted by path.

    Raises `RecordError` for a path that does not exist and for a record that cannot be read.
    """
    files = {file for path in paths for file in _record_files(path)}
    return [(file, RunRecord.load(file)) for file in sorted(files)]


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _text(document: Mapping[str, object]) -> str:
    """Return the record as JSON: people read it, and its bulky parts take one line each."""
    lines = [f"  {json.dumps(name)}: {_part(name, document[name])}" for name in sorted(document)]
    return "{\n" + ",\n".join(lines) + "\n}"


def _part(name: str, value: object) -> str:
    if name in BULKY:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=2, sort_keys=True)
    return text.replace("\n", "\n  ")


def _record_files(path: Path) -> list[Path]:
    if path.is_dir():
        return list(path.rglob(FILE_NAME))
    if path.exists():
        return [path]
    raise RecordError(f"{path} does not exist; name a {FILE_NAME} or a folder that holds some")


def _read(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # broken JSON, or bytes that are not UTF-8
        raise RecordError(f"{path} is not whole JSON ({error}); run again, or leave it out") from error
    if not isinstance(document, dict):
        raise RecordError(f"{path} holds a {type(document).__name__}, not a record; leave it out")
    return document


def _check_schema(document: Mapping[str, object], path: Path) -> None:
    schema = document.get("schema")
    if type(schema) is not int:
        raise RecordError(f"{path} has no schema number, so it is no record of a run; leave it out")
    if schema != SCHEMA:
        raise RecordError(
            f"{path} has schema {schema}, this sprec reads {SCHEMA}; use the sprec that wrote it"
        )
