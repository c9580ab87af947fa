"""Where a run can be watched: Weights & Biases, or nowhere. `run.json` is the copy that counts."""

import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sprec.records.redaction import redact, redact_text, redact_word

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

# A server that stops accepting a run is noted in the client's own log and nowhere else.
_UPLOAD_FAILURES = ("filestream: fatal error", "runfiles: CreateRunFiles returned error")
_TAG_LENGTH = 64
_NAME_LENGTH = 128


def curve_name(label: str) -> str:
    """Return the name under which the curves of a stage with this label stand.

    >>> curve_name("initial sft"), curve_name("dpo 2")
    ('initial_sft', 'dpo')
    """
    return re.sub(r" \d+$", "", label).replace(" ", "_")


class Tracker:
    """Mirrors a run while it goes on and never makes it fail; each method does nothing unless overridden."""

    @property
    def address(self) -> str:
        """Where to look at the current run: a URL or an id, or "" if nothing tracks it."""
        return ""

    def start(
        self,
        *,
        config: Mapping[str, object],
        group: str | None,
        job_type: str,
        tags: Sequence[str],
        name: str,
        folder: Path,
        notes: str = "",
        previous: str = "",
    ) -> None:
        """Begin a run, or go on with one.

        Args:
            config: The run's whole configuration.
            group: Name shared by the runs of a sweep, or None.
            job_type: The method.
            tags: Words to filter runs by.
            name: What people see in the list of runs.
            folder: Where the tracker may keep files on this machine.
            notes: What people read beside the run: its command.
            previous: The address of an attempt that did not end, which this run goes on with.
        """

    def log(self, scores: Mapping[str, float], *, step: int, axis: str) -> None:
        """Add a point to the curve of each name, at `step` of `axis` such as `iteration` or `sft/step`."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; each row has one cell per column."""

    def artifact(self, name: str, folder: Path, kind: str) -> None:
        """Keep the files below `folder`, if the tracker keeps files at all."""

    def finish(self, status: str) -> None:
        """End the run; any `status` other than `finished` marks it as failed."""


class Silent(Tracker):
    """Tracks nothing."""


@dataclass
class Wandb(Tracker):
    """Tracks in Weights & Biases: `online`, or `offline` into a folder for `wandb sync`.

    An online run never asks for a login and goes offline after `timeout_seconds` without an answer. At its
    end it uploads for at most `finish_seconds`; the rest stays in the folder. Artifacts are uploaded only if
    `artifacts` is true, since an adapter per iteration fills a quota.
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
        """Whether the run only goes to a folder; None while no run is tracked."""
        return None if self._run is None else bool(self._run.offline)

    @property
    def address(self) -> str:
        """The URL of an online run, the id of an offline one, or "" while no run is tracked."""
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
        notes: str = "",
        previous: str = "",
    ) -> None:
        """Begin a run, or go on with one; all is sent with secrets replaced by `***`."""
        arguments: dict[str, Any] = {
            "config": redact(config),
            "group": group and redact_text(group)[:_NAME_LENGTH],
            "job_type": job_type,
            "tags": [redact_text(tag)[:_TAG_LENGTH] for tag in tags],
            "name": redact_text(name)[:_NAME_LENGTH],
            "notes": redact_text(notes),
            "dir": str(folder),
        }
        if previous:
            arguments |= {"id": previous.rpartition("/")[2], "resume": "allow"}
        self._defined, self._reported = set(), set()
        with self._log_errors("W&B cannot be used, so this run is not tracked"):
            folder.mkdir(parents=True, exist_ok=True)
            self._run = self._begin(arguments)

    def log(self, scores: Mapping[str, float], *, step: int, axis: str) -> None:
        """Add a point per name; the chart of a name keeps the first axis it was logged with."""
        if self._run is None:
            return
        with self._log_errors("W&B did not accept scores; the run goes on"):
            self._define(self._run, scores, axis)
            self._run.log({axis: step, **scores})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table beside the charts; cells of one column may be of several types."""
        if self._run is None:
            return
        with self._log_errors("W&B did not accept a table; the run goes on"):
            import wandb

            data = [list(row) for row in rows]
            self._run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})

    def artifact(self, name: str, folder: Path, kind: str) -> None:
        """Upload the files below `folder` as a version of the artifact `name`, if `artifacts` is true."""
        if self._run is None or not self.artifacts:
            return
        with self._log_errors("W&B did not accept an artifact; the run goes on"):
            import wandb

            # W&B refuses names with other characters.
            artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII), type=kind)
            artifact.add_dir(str(folder))
            self._run.log_artifact(artifact)

    def finish(self, status: str) -> None:
        """End the run and wait for its upload, `finish_seconds` at most."""
        if self._run is None:
            return
        run, self._run = self._run, None
        with _catch_wandb_errors() as reasons:
            run.finish(exit_code=0 if status == "finished" else 1)
            reasons += _read_upload_failures(Path(run.settings.log_internal))
        if reasons:
            self._warn(
                "W&B did not receive the whole run", reasons[0], f"to send it again: {_sync_command(run)}"
            )

    def _begin(self, arguments: Mapping[str, Any]) -> "wandb.Run":
        """Return an online run if that is asked for and possible, else an offline one."""
        if self.mode == "offline":
            run = self._init("offline", arguments)
            log.info("W&B run is offline; to send it: %s", _sync_command(run))
            return run
        with _catch_wandb_errors() as reasons:
            run = self._init("online", arguments)
            log.info("W&B run: %s", run.url)
            return run
        run = self._init("offline", arguments)
        check = "check `wandb login` or WANDB_API_KEY, and WANDB_BASE_URL"
        self._warn(
            "W&B cannot go online, so this run is tracked offline",
            *(reasons[0], f"{check}; to send it: {_sync_command(run)}"),
        )
        return run

    def _init(self, mode: Literal["offline", "online"], arguments: Mapping[str, Any]) -> "wandb.Run":
        # With telemetry on, a process whose server does not answer takes 20 s longer to exit.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        # Only a silent session never asks for a login; `silent` in `init` comes too late for that.
        wandb.setup(settings=wandb.Settings(silent=True))
        settings = wandb.Settings(
            silent=True,
            init_timeout=self.timeout_seconds,
            finish_timeout=self.finish_seconds,
            finish_timeout_raises=True,
        )
        with _redacted_command_line():
            return wandb.init(
                project=self.project,
                entity=self.entity,
                mode=mode,
                reinit="finish_previous",
                settings=settings,
                **arguments,
            )

    def _define(self, run: "wandb.Run", names: Collection[str], axis: str) -> None:
        """Define the axis of each new name's chart; the axis itself gets no chart."""
        if axis not in self._defined:
            run.define_metric(axis, hidden=True)
        for name in names:
            if name not in self._defined:
                run.define_metric(name, step_metric=axis)
        self._defined.update(names, [axis])

    @contextmanager
    def _log_errors(self, trouble: str) -> Iterator[None]:
        """Log errors of W&B or its network instead of raising them."""
        with _catch_wandb_errors() as reasons:
            yield
        for reason in reasons:
            self._warn(trouble, reason)

    def _warn(self, trouble: str, reason: str, remedy: str = "") -> None:
        """Warn of each kind of `trouble` once, in one line; repeats go to the debug log."""
        level = logging.DEBUG if trouble in self._reported else logging.WARNING
        log.log(level, "%s: %s%s", trouble, reason.rstrip("."), remedy and f"; {remedy}")
        self._reported.add(trouble)


@contextmanager
def _redacted_command_line() -> Iterator[None]:
    """Hide secrets of the command line, which W&B reads and uploads by itself."""
    words = sys.argv
    sys.argv = [redact_word(word) for word in words]
    try:
        yield
    finally:
        sys.argv = words


@contextmanager
def _catch_wandb_errors() -> Iterator[list[str]]:
    """Yield a list to which the reason of an error of W&B or its network is added; others are raised."""
    reasons: list[str] = []
    try:
        yield reasons
    except Exception as error:
        # W&B's own errors have no common base class: those of its service derive from Exception directly.
        foreign = not type(error).__module__.startswith("wandb")
        if foreign and not isinstance(error, OSError | TypeError | ValueError):
            raise
        text, _, _ = str(error).partition("Consider increasing")  # advice on a setting that we do not offer
        reasons.append(redact_text(" ".join(text.split()) or type(error).__name__))


def _sync_command(run: "wandb.Run") -> str:
    """Return the command that uploads what a run left on this machine."""
    # `wandb sync` skips runs that began online unless told to include them.
    options = "" if run.offline else "--include-online "
    return f"wandb sync {options}{shlex.quote(run.settings.sync_dir)}"


def _read_upload_failures(client_log: Path) -> list[str]:
    """Return what the client's own log says it could not send; empty if it sent everything."""
    lines = client_log.read_text(errors="replace").splitlines() if client_log.is_file() else []
    entries = [json.loads(line) for line in lines if any(words in line for words in _UPLOAD_FAILURES)]
    return [redact_text(" ".join(str(entry.get("msg")).split())) for entry in entries]
