"""`python -m sprec.run dataset=movielens`: one run, from raw ratings to a table."""

import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sprec.experiment.config import Settings, validated
from sprec.processes.forked import ForkKilledError, run_in_fork
from sprec.processes.signals import EndedBySignalError, raise_on_signal
from sprec.records.redaction import redact_text

TRACE = "traceback.txt"  # of a failed job, for who looks for a bug; people get one line
USER_ERRORS = (
    *(ValueError, FloatingPointError, OSError, RuntimeError),
    *(HydraException, OmegaConfBaseException),
)
EXTRAS = {
    **{f"hydra/launcher/{name}": "launchers" for name in ("joblib", "submitit_slurm", "submitit_local")},
    "hydra/launcher/ray": "ray",
    "hydra/sweeper/optuna": "optuna",
}
"""Which extra of the package has a plugin of Hydra."""

EXPERIMENT = "+experiment="
POOLED = "JoblibLauncher"
"""Ends the name of the launcher whose other jobs fail too where a process of its pool is killed."""

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())


def _settings(config: DictConfig) -> Settings:
    container: Any = OmegaConf.to_container(config, resolve=True)
    container.pop("sweep", None)
    return validated(container)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> float | None:
    """Run what the configuration says, and leave `run.json` in the job's output folder; returns its goal."""
    work = partial(_run, _settings(config))
    hydra = HydraConfig.get()
    if hydra.mode is RunMode.RUN or not hydra.launcher._target_.endswith(POOLED):
        return work()
    try:
        return run_in_fork(work)
    except ForkKilledError as error:
        raise ForkKilledError(f"{error}; to run it again: {_command()}") from None


def _run(settings: Settings) -> float | None:
    from sprec.experiment.session import Session

    folder = Path(HydraConfig.get().runtime.output_dir)
    session = Session(settings, folder, command=_command())
    try:
        with raise_on_signal():
            record = session.run()
    except Exception:
        (folder / TRACE).write_text(redact_text(traceback.format_exc()), encoding="utf-8")
        raise
    return record.evaluations[-1].scores[settings.goal] if record and settings.goal else None


def _command() -> str:
    """Return the command that repeats this job: alone and in its place where it is one of a sweep."""
    config = HydraConfig.get()
    options = sys.argv[1:]
    if config.mode is RunMode.MULTIRUN:  # any launcher's process, with other arguments
        options = [*config.overrides.task, "hydra.mode=RUN", f"hydra.run.dir={config.runtime.output_dir}"]
    return shlex.join(["python", "-m", "sprec.run", *options])


class SweepTable(Callback):
    """Prints the sweep's table when it has ended; `sprec.report --table` prints it again at any time."""

    def __init__(self, table: str) -> None:
        self.table, self.folder = table, Path()

    started: ClassVar[list["SweepTable"]] = []

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep's folder: Hydra calls nothing at the end of a sweep with a failed job."""
        self.folder = Path(config.hydra.sweep.dir)
        self.started.append(self)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Show the table, and the command for differences."""
        self.show()
        print(f"differences with intervals: {self.command}")

    @property
    def command(self) -> str:
        """The command that prints the table."""
        return shlex.join(["python", "-m", "sprec.report", str(self.folder), "--table", self.table])

    def show(self) -> None:
        """Read the jobs' records below the sweep's folder and show their table, if there are any."""
        from rich.console import Console

        from sprec.records.run_record import find_records
        from sprec.report.tables.assemble import Choice, tables
        from sprec.report.tables.formats import show
        from sprec.report.tables.table_kinds import KINDS

        records = [record for _, record in find_records([self.folder])]
        for table in tables(KINDS[self.table], records, Choice(differences=False)) if records else ():
            show(table, Console())


def main() -> None:
    """Console entry: user errors are one line and exit status 1; ended by a signal, 128 and its number."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints its own trace
    _refuse_two_sweeps(sys.argv[1:])
    _refuse_two_experiments(sys.argv[1:])
    try:
        job()
    except Exception as error:
        for table in SweepTable.started:
            with suppress(ValueError, OSError):  # of records; the job's own error is to be seen
                table.show()
        if not (isinstance(error, USER_ERRORS) or type(error).__module__.startswith("ray.")):
            raise
        text = str(error).partition("\n-----")[0]  # below that, submitit shows all that a job said
        raise SystemExit(f"error: {' '.join(text.split())}{_remedy(text)}") from None
    except (EndedBySignalError, KeyboardInterrupt) as error:
        ended = error if isinstance(error, EndedBySignalError) else EndedBySignalError(signal.SIGINT)
        print(f"{ended}: finished stages are stored; the same command goes on from there", file=sys.stderr)
        raise SystemExit(ended.status) from None


def _remedy(error: str) -> str:
    """Return what to do about a plugin that is not installed, or after a sweep of which a job failed."""
    for plugin, extra in EXTRAS.items():
        if f"'{plugin}'" in error:
            return f"; it comes with: pip install 'sprec[{extra}]'"
    if not SweepTable.started:
        return ""
    table = SweepTable.started[-1].command
    return f"; the other jobs are kept, and this says how to run what is missing: {table}"


def _refuse_two_sweeps(arguments: Sequence[str]) -> None:
    """Hydra would drop the grids of both without a word."""
    for argument in arguments:
        if re.match(r"\+?sweep=.*,", argument):
            raise SystemExit(f"error: {argument}: one command runs one sweep; give one command for each")


def _refuse_two_experiments(arguments: Sequence[str]) -> None:
    """Hydra would advise to put an override into a file."""
    given = [each.removeprefix(EXPERIMENT).strip("[]") for each in arguments if each.startswith(EXPERIMENT)]
    if len(given) > 1:
        raise SystemExit(
            f"error: one +experiment holds all of them; combine them: '{EXPERIMENT}[{','.join(given)}]'"
        )


if __name__ == "__main__":
    from sprec import run  # by its name, as launchers and callbacks know it

    run.main()
