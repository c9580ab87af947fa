"""Where a run can be watched: Weights & Biases, or nowhere. `run.json` stays the copy that counts."""

import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sprec.runtime.redaction import redact, redact_text

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

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
            self._run = self._online(arguments) or self._offline(arguments)

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
        folder = self._run.settings.sync_dir
        with self._harmless(f"W&B did not take the whole run; to send it again: wandb sync {folder}"):
            self._run.finish(exit_code=0 if status == "finished" else 1)
        self._run = None

    def _online(self, arguments: Mapping[str, Any]) -> "wandb.Run | None":
        if self.mode == "offline":
            return None
        with self._harmless(
            "W&B cannot go online, so this run is tracked offline "
            "(check `wandb login` or WANDB_API_KEY, and WANDB_BASE_URL)"
        ):
            run = self._init("online", arguments)
            log.info("W&B run: %s", run.url)
            return run
        return None

    def _offline(self, arguments: Mapping[str, Any]) -> "wandb.Run":
        run = self._init("offline", arguments)
        log.info("W&B run is offline; to send it: wandb sync %s", run.settings.sync_dir)
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
        """Log errors of W&B and its network once per `trouble`, and go on."""
        try:
            yield
        except Exception as error:
            # What W&B raises when its service dies shares no base class but Exception.
            ours = not type(error).__module__.startswith("wandb")
            if ours and not isinstance(error, OSError | TypeError | ValueError):
                raise
            reason = redact_text(" ".join(str(error).split()) or type(error).__name__)
            level = logging.DEBUG if trouble in self._reported else logging.WARNING
            log.log(level, "%s: %s", trouble, reason)
            self._reported.add(trouble)
