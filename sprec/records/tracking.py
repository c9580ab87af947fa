"""Where a run can be watched: Weights & Biases, or nowhere. `run.json` stays the copy that counts."""

import json
import logging
import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sprec.records.redaction import redact, redact_text

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

# What the client notes in its own log, and nowhere else, when a server refuses a run it had taken before.
_LOSSES = ("filestream: fatal error", "runfiles: CreateRunFiles returned error")
_TAG_LENGTH = 64
_NAME_LENGTH = 128


class Tracker(Protocol):
    """Mirrors a run while it goes on, and never makes it fail."""

    @property
    def address(self) -> str:
        """Where the run under way can be found: a URL or an id, "" where nothing tracks it."""

    def start(
        self,
        *,
        config: Mapping[str, object],
        group: str | None,
        job_type: str,
        tags: Sequence[str],
        name: str,
        folder: Path,
    ) -> None:
        """Begin one run; what the tracker keeps on this machine goes below `folder`."""

    def log(self, scores: Mapping[str, float], *, step: int, axis: str) -> None:
        """Add one point per name to its curve, at `step` of `axis` such as `iteration` or `sft/step`."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; a row has one cell per column."""

    def artifact(self, name: str, folder: Path, kind: str) -> None:
        """Keep the files below `folder`, where the tracker keeps files at all."""

    def finish(self, status: str) -> None:
        """End the run; every `status` but `finished` marks it as failed."""


class Silent:
    """Tracks nothing."""

    address = ""

    def start(
        self,
        *,
        config: Mapping[str, object],
        group: str | None,
        job_type: str,
        tags: Sequence[str],
        name: str,
        folder: Path,
    ) -> None:
        """Do nothing."""

    def log(self, scores: Mapping[str, float], *, step: int, axis: str) -> None:
        """Do nothing."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Do nothing."""

    def artifact(self, name: str, folder: Path, kind: str) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""


@dataclass
class Wandb:
    """Tracks in Weights & Biases: `offline` into a folder for `wandb sync`, or `online`.

    Online never asks for a login, and goes offline after `timeout_seconds` without an answer. At
    the end it uploads for at most `finish_seconds`; the rest stays in the folder. Artifacts are
    uploaded where `artifacts` says so, since an adapter per iteration fills a quota.
    """

    mode: Literal["offline", "online"] = "offline"
    project: str = "sprec"
    entity: str | None = None
    artifacts: bool = False
    timeout_seconds: float = 10
    finish_seconds: float = 60
    _run: "wandb.Run | None" = field(default=None, init=False, repr=False)
    _defined: set[str] = field(default_factory=set, init=False, repr=False)
    _reported: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def offline(self) -> bool | None:
        """Whether the run goes to a folder only; None before `start`, after `finish` and without a run."""
        return None if self._run is None else bool(self._run.offline)

    @property
    def address(self) -> str:
        """The URL of a run that is online, else its id; "" before `start`, after `finish`, without a run."""
        return "" if self._run is None else self._run.url or self._run.id

    def start(
        self,
        *,
        config: Mapping[str, object],
        group: str | None,
        job_type: str,
        tags: Sequence[str],
        name: str,
        folder: Path,
    ) -> None:
        """Begin one run; `config` is sent with secrets replaced by `***`."""
        arguments = {
            "config": redact(config),
            "group": group and group[:_NAME_LENGTH],
            "job_type": job_type,
            "tags": [tag[:_TAG_LENGTH] for tag in tags],
            "name": name[:_NAME_LENGTH],
            "dir": str(folder),
        }
        self._defined, self._reported = set(), set()
        with self._harmless("W&B cannot be used, so this run is not tracked"):
            folder.mkdir(parents=True, exist_ok=True)
            self._run = self._begin(arguments)

    def log(self, scores: Mapping[str, float], *, step: int, axis: str) -> None:
        """Add one point per name; the first `axis` of a name is the one of its chart."""
        if self._run is None:
            return
        with self._harmless("W&B took no scores, the run goes on"):
            self._define(self._run, scores, axis)
            self._run.log({axis: step, **scores})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table beside the charts; cells of one column may be of several types."""
        if self._run is None:
            return
        with self._harmless("W&B took no table, the run goes on"):
            import wandb

            data = [list(row) for row in rows]
            self._run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})

    def artifact(self, name: str, folder: Path, kind: str) -> None:
        """Upload the files below `folder` as a version of the artifact `name`, if artifacts are wanted.

        Characters that W&B does not allow in a name become `-`.
        """
        if self._run is None or not self.artifacts:
            return
        with self._harmless("W&B took no artifact, the run goes on"):
            import wandb

            artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII), type=kind)
            artifact.add_dir(str(folder))
            self._run.log_artifact(artifact)

    def finish(self, status: str) -> None:
        """End the run and wait for its upload, `finish_seconds` at most."""
        if self._run is None:
            return
        run, self._run = self._run, None
        with _caught() as reasons:
            run.finish(exit_code=0 if status == "finished" else 1)
            reasons += _losses(Path(run.settings.log_internal))
        if reasons:
            self._say("W&B did not take the whole run", reasons[0], f"to send it again: {_sync(run)}")

    def _begin(self, arguments: Mapping[str, Any]) -> "wandb.Run":
        """Return a run that is online where that is wanted and possible, else one that is offline."""
        if self.mode == "offline":
            run = self._init("offline", arguments)
            log.info("W&B run is offline; to send it: %s", _sync(run))
            return run
        with _caught() as reasons:
            run = self._init("online", arguments)
            log.info("W&B run: %s", run.url)
            return run
        run = self._init("offline", arguments)
        check = "check `wandb login` or WANDB_API_KEY, and WANDB_BASE_URL"
        self._say(
            "W&B cannot go online, so this run is tracked offline",
            *(reasons[0], f"{check}; to send it: {_sync(run)}"),
        )
        return run

    def _init(self, mode: Literal["offline", "online"], arguments: Mapping[str, Any]) -> "wandb.Run":
        # W&B's telemetry about itself keeps a process whose server does not answer from ending for 20 s.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        # Only a silent session asks for no login at a terminal; `silent` in `init` comes too late for that.
        wandb.setup(settings=wandb.Settings(silent=True))
        settings = wandb.Settings(
            silent=True,
            init_timeout=self.timeout_seconds,
            finish_timeout=self.finish_seconds,
            finish_timeout_raises=True,
        )
        return wandb.init(
            project=self.project,
            entity=self.entity,
            mode=mode,
            reinit="finish_previous",
            settings=settings,
            **arguments,
        )

    def _define(self, run: "wandb.Run", names: Collection[str], axis: str) -> None:
        """Tell W&B which axis the chart of each new name has; the axis itself gets no chart."""
        if axis not in self._defined:
            run.define_metric(axis, hidden=True)
        for name in names:
            if name not in self._defined:
                run.define_metric(name, step_metric=axis)
        self._defined.update(names, [axis])

    @contextmanager
    def _harmless(self, trouble: str) -> Iterator[None]:
        """Log errors of W&B and its network, and go on."""
        with _caught() as reasons:
            yield
        for reason in reasons:
            self._say(trouble, reason)

    def _say(self, trouble: str, reason: str, remedy: str = "") -> None:
        """Warn of each `trouble` once, in one line."""
        level = logging.DEBUG if trouble in self._reported else logging.WARNING
        log.log(level, "%s: %s%s", trouble, reason.rstrip("."), remedy and f"; {remedy}")
        self._reported.add(trouble)


@contextmanager
def _caught() -> Iterator[list[str]]:
    """Give a list that takes the reason of an error of W&B or its network; other errors are raised."""
    reasons: list[str] = []
    try:
        yield reasons
    except Exception as error:
        # What W&B raises when its service dies shares no base class but Exception.
        ours = not type(error).__module__.startswith("wandb")
        if ours and not isinstance(error, OSError | TypeError | ValueError):
            raise
        words, _, _ = str(error).partition("Consider increasing")  # a W&B setting that is not ours
        reasons.append(redact_text(" ".join(words.split()) or type(error).__name__))


def _sync(run: "wandb.Run") -> str:
    """Return the command that sends what a run left here; W&B skips runs that began online unless asked."""
    options = "" if run.offline else "--include-online "
    return f"wandb sync {options}{shlex.quote(run.settings.sync_dir)}"


def _losses(client_log: Path) -> list[str]:
    """Return what the client could not send, as its own log has it; empty where it sent everything."""
    lines = client_log.read_text(errors="replace").splitlines() if client_log.is_file() else []
    found = [json.loads(line) for line in lines if any(loss in line for loss in _LOSSES)]
    return [redact_text(" ".join(str(line.get("msg")).split())) for line in found]
