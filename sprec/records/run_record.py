"""`run.json`, the record of one run: everything needed to trust or repeat its numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sprec.records.from_json import decode_json, encode_json
from sprec.records.migrations import migrated
from sprec.records.record_file import MOST_BYTES, RecordError, read_document
from sprec.records.recorded_items import ItemColumns, RecordedItem, RecordedItems, to_columns
from sprec.records.redaction import redact, redact_text
from sprec.store.atomic_files import write_atomically

SCHEMA = 3
"""The layout of `run.json` that this version writes; older ones are migrated as they are read."""

MOST_POINTS = 1000
"""No curve in a record is longer: runs thin theirs to 200 steps."""

BULKY = frozenset({"curves", "items", "sampled_users"})
"""Fields written on one line each, so that people can still scroll through the file."""

FILE_NAME = "run.json"
"""The record's name in a run's output folder."""


@dataclass(frozen=True)
class RowCounts:
    """Number of examples per split."""

    train: int
    valid: int
    test: int


@dataclass(frozen=True)
class DatasetEntry:
    """The run's data; `digest` tells apart two datasets of the same name, by their content."""

    name: str
    digest: str
    items: int
    rows: RowCounts


@dataclass(frozen=True)
class WeightsEntry:
    """The base LLM's weights."""

    name: str
    digest: str


@dataclass(frozen=True)
class StageEntry:
    """A stage, the seconds it took to compute (now or, if `reused`, in an earlier run), and who made it.

    `code` is the digest of the code that computed it, `versions` are those of its libraries. `other_code` is
    true where the run reused on purpose what its own code would have computed anew.
    """

    name: str
    label: str
    key: str
    seconds: float
    reused: bool
    commit: str | None = None
    dirty: bool = False
    code: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    other_code: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Scores of one model over `n` users (N), of whom `n_in_catalog` have a target in the catalogue (N').

    `iteration` is None for what is not iterated, and an undefined score is NaN. `lists` holds the recommended
    ids `[n, k]`, encoded by `sprec.records.encoded_ids`, or "" if unknown. `written` holds the title that the
    model generated for each of the `sampled_users`, or nothing if the ranker generates none.
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

    def __post_init__(self) -> None:
        if not 0 <= self.n_in_catalog <= self.n:
            raise ValueError(f"evaluation {self.label[:40]!r}: {self.n_in_catalog} of {self.n} users")


@dataclass(frozen=True)
class SampledUser:
    """An evaluated row that reports show in full: item ids of its history (oldest first) and its target."""

    row: int
    history: tuple[int, ...]
    target: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The fields of `run.json`; times are ISO 8601 in UTC.

    `drops` counts what was left out of training or evaluation, by stage label and reason. `targets` holds the
    next item `[n, 1]` of each evaluated row, encoded like lists. `items` describes, by id as text, every item
    in a list, a target or a sampled user's history. `history_genres` is GH, each selected genre's share in
    the evaluated rows' histories. `curves` holds loss and margin (nats) per optimiser step, thinned, by stage
    label; `validation_loss` (nats per token) at evaluated steps alone, and `kept_step`, the one whose weights
    were kept. `tracker` is the W&B run's address or id, or "", `sweep` the id of the run's sweep, or "".
    `engine` says what computed the LLM, how far the fast engine was from transformers in nats, and which
    layers have adapters; empty without an LLM.
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
    engine: Mapping[str, object] = field(default_factory=dict)
    dataset: DatasetEntry
    weights: WeightsEntry
    method: str
    negatives: str
    stages: tuple[StageEntry, ...] = ()
    drops: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    targets: str = ""
    items: Mapping[str, RecordedItem] = field(default_factory=dict)
    history_genres: Mapping[str, float] = field(default_factory=dict)
    sampled_users: tuple[SampledUser, ...] = ()
    curves: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    tracker: str = ""
    sweep: str = ""
    status: Literal["running", "finished", "failed"] = "running"
    finished: str | None = None
    error: str | None = None
    schema: int = SCHEMA

    def check_sizes(self) -> None:
        """Raise `ValueError` for numbers that go beyond what the record itself holds."""
        for label, curve in self.curves.items():
            if max(map(len, curve.values()), default=0) > MOST_POINTS:
                raise ValueError(f"the curve of {label[:40]!r} has over {MOST_POINTS} points")
        users = max((one.n for one in self.evaluations), default=None)
        for user in self.sampled_users:
            if user.row < 0 or (users is not None and user.row >= users):
                raise ValueError(f"user {user.row} is none of the {users} scored ones")

    def foreign_origin(self, stage: StageEntry) -> str:
        """Return who made a stage, as far as that differs from this run itself; "" if nothing does."""
        if not stage.code:
            return ""  # an older record, which does not say
        parts = ["other code"] if stage.other_code else []
        if (stage.commit, stage.dirty) != (self.commit, self.dirty):
            parts.append(f"commit {(stage.commit or 'unknown')[:10]}{' (dirty)' * stage.dirty}")
        now = self.versions
        parts += [f"{name} {old}" for name, old in stage.versions.items() if old != now.get(name, old)]
        return ", ".join(parts)

    def with_stage(self, stage: StageEntry) -> "RunRecord":
        """Return the record with this stage added."""
        return replace(self, stages=(*self.stages, stage))

    def with_evaluation(self, evaluation: Evaluation) -> "RunRecord":
        """Return the record with this evaluation added."""
        return replace(self, evaluations=(*self.evaluations, evaluation))

    def with_drops(self, label: str, counts: Mapping[str, int]) -> "RunRecord":
        """Return the record with the rows that stage `label` dropped, counted by reason."""
        return replace(self, drops={**self.drops, label: dict(counts)})

    def with_curve(self, label: str, curve: Mapping[str, tuple[float, ...]]) -> "RunRecord":
        """Return the record with the training curve of stage `label`."""
        return replace(self, curves={**self.curves, label: dict(curve)})

    def without_secrets(self) -> "RunRecord":
        """Return the record with each secret replaced by `***`."""
        return replace(
            self,
            config={name: redact(value, name) for name, value in self.config.items()},
            command=redact_text(self.command),
            error=None if self.error is None else redact_text(self.error),
            tracker=redact_text(self.tracker),
        )

    def as_finished(self) -> "RunRecord":
        """Return the record of a run that has just finished."""
        return replace(self, status="finished", finished=utc_now(), error=None)

    def as_failed(self, error: str) -> "RunRecord":
        """Return the record of a run that has just failed with `error`."""
        return replace(self, status="failed", finished=utc_now(), error=error)

    @classmethod
    def load(cls, path: Path) -> "RunRecord":
        """Read a record; raises `RecordError` if the file is missing, broken or of a newer schema."""
        try:
            document = migrated(read_document(path), SCHEMA)
            _check_schema(document, path)
            # As columns: thousands of items of one object each would double the time to load.
            items = decode_json(ItemColumns, document.get("items"), "items")
            record = replace(decode_json(cls, {**document, "items": {}}), items=RecordedItems(items))
            record.check_sizes()
            return record.without_secrets()  # older versions, and other code, may have written some
        except RecordError:
            raise
        except RecursionError as error:
            raise RecordError(f"{path} is nested too deeply to be a record; leave it out") from error
        except ValueError as error:
            raise RecordError(f"{path}: {error}; run again, or leave the file out") from error

    def save(self, path: Path) -> None:
        """Write the record atomically, with secrets replaced by `***`.

        Raises `RecordError` for a configuration that JSON cannot hold and for a record that no reader would
        take, and `OSError` if the disk is full.
        """
        clean = replace(self.without_secrets(), items={})  # written as columns below
        try:
            text = _text({**encode_json(clean), "items": encode_json(to_columns(self.items))})
        except (TypeError, ValueError) as error:
            raise RecordError(f"{path} cannot be written: {error}; use plain finite values") from error
        if len(text.encode()) >= MOST_BYTES:
            raise RecordError(
                f"{path} would have over {MOST_BYTES >> 20} MB; score fewer rows (budget.test_rows)"
            )
        write_atomically(path, text + "\n")


def utc_now() -> str:
    """Return the current time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _text(document: Mapping[str, object]) -> str:
    """Return the record as indented JSON with its bulky fields on one line each."""
    lines = [f"  {json.dumps(name)}: {_field_text(name, document[name])}" for name in sorted(document)]
    return "{\n" + ",\n".join(lines) + "\n}"


def _field_text(name: str, value: object) -> str:
    if name in BULKY:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=2, sort_keys=True)
    return text.replace("\n", "\n  ")


def _check_schema(document: Mapping[str, object], path: Path) -> None:
    schema = document.get("schema")
    if type(schema) is not int:  # not isinstance: true would pass for 1
        raise RecordError(f"{path} has no schema number, so it is no record of a run; leave it out")
    if schema != SCHEMA:
        raise RecordError(
            f"{path} has schema {schema}, this sprec reads {SCHEMA}; use the sprec that wrote it"
        )
