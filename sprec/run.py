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

from sprec.experiment.config import Settings, validate_settings
from sprec.processes.forked import ForkKilledError, run_in_fork
from sprec.processes.signals import EndedBySignalError, raise_on_signal
from sprec.records.redaction import redact_text

TRACEBACK_FILE = "traceback.txt"  # of a failed job, for whoever looks for the bug; the terminal gets one line
USER_ERRORS = (
    *(ValueError, FloatingPointError, OSError, RuntimeError),
    *(HydraException, OmegaConfBaseException),
)
PLUGIN_EXTRAS = {
    **{f"hydra/launcher/{name}": "launchers" for name in ("joblib", "submitit_slurm", "submitit_local")},
    "hydra/launcher/ray": "ray",
    "hydra/sweeper/optuna": "optuna",
}
"""The extra of this package that installs a plugin of Hydra."""

EXPERIMENT = "+experiment="
POOL_LAUNCHER = "JoblibLauncher"
"""Ends the name of the launcher that loses all jobs when one process of its pool is killed."""

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> float | None:
    """Run what the configuration says, leave `run.json` in the job's output folder, and return its goal."""
    work = partial(_run, _to_settings(config))
    hydra_config = HydraConfig.get()
    in_pool = hydra_config.launcher._target_.endswith(POOL_LAUNCHER)
    if hydra_config.mode is RunMode.RUN or not in_pool:
        return work()
    try:
        return run_in_fork(work)
    except ForkKilledError as error:
        raise ForkKilledError(f"{error}; to run it again: {_command()}") from None


def _to_settings(config: DictConfig) -> Settings:
    container: Any = OmegaConf.to_container(config, resolve=True)
    container.pop("sweep", None)  # the group's choice, of which nothing is left after composition
    return validate_settings(container)


def _run(settings: Settings) -> float | None:
    if settings.describe:
        from hydra.utils import instantiate
        from rich.console import Console

        from sprec.experiment.describe import describe_dataset

        describe_dataset(settings, partial(instantiate, _convert_="all"), Console())
        return None
    from sprec.experiment.session import Session

    folder = Path(HydraConfig.get().runtime.output_dir)
    session = Session(settings, folder, command=_command())
    try:
        with raise_on_signal():
            record = session.run()
    except Exception:
        (folder / TRACEBACK_FILE).write_text(redact_text(traceback.format_exc()), encoding="utf-8")
        raise
    return record.evaluations[-1].scores[settings.goal] if record and settings.goal else None


def _command() -> str:
    """Return the command that repeats this job; a sweep's job is repeated alone, in the same folder."""
    config = HydraConfig.get()
    options = sys.argv[1:]
    if config.mode is RunMode.MULTIRUN:  # the process may be a launcher's, with arguments of its own
        options = [*config.overrides.task, "hydra.mode=RUN", f"hydra.run.dir={config.runtime.output_dir}"]
    return shlex.join(["python", "-m", "sprec.run", *options])


class SweepTable(Callback):
    """Prints the sweep's table at its end; `sprec.report --table` prints it again at any time."""

    started: ClassVar[list["SweepTable"]] = []  # Hydra calls nothing at the end of a sweep with a failed job

    def __init__(self, table: str) -> None:
        self.table, self.folder = table, Path()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep's folder."""
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
        """Read the records below the sweep's folder and show their table, if there are any."""
        from rich.console import Console

        from sprec.records.run_record import find_records
        from sprec.report.tables.assemble import score_tables
        from sprec.report.tables.comparison import TableOptions
        from sprec.report.tables.formats import print_table
        from sprec.report.tables.table_kinds import TABLE_KINDS

        records = [record for _, record in find_records([self.folder])]
        for table in score_tables(TABLE_KINDS[self.table], records, TableOptions(differences=False)):
            print_table(table, Console())


def main() -> None:
    """Console entry: a user's error is one line and exit status 1, a signal's end 128 and its number."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints a trace of its own
    _refuse_two_sweeps(sys.argv[1:])
    _refuse_two_experiments(sys.argv[1:])
    try:
        job()
    except Exception as error:
        for table in SweepTable.started:
            with suppress(ValueError, OSError):  # a broken record must not hide the job's own error
                table.show()
        if not (isinstance(error, USER_ERRORS) or type(error).__module__.startswith("ray.")):
            raise
        text = str(error).partition("\n-----")[0]  # below that line submitit repeats the job's whole output
        raise SystemExit(f"error: {' '.join(text.split())}{_remedy(text)}") from None
    except (EndedBySignalError, KeyboardInterrupt) as error:
        ended = error if isinstance(error, EndedBySignalError) else EndedBySignalError(signal.SIGINT)
        print(f"{ended}: finished stages are stored; the same command goes on from there", file=sys.stderr)
        raise SystemExit(ended.status) from None


def _remedy(error: str) -> str:
    """Return what to do about a plugin that is not installed, or after a sweep with a failed job."""
    for plugin, extra in PLUGIN_EXTRAS.items():
        if f"'{plugin}'" in error:
            return f"; it comes with: pip install 'sprec[{extra}]'"
    if not SweepTable.started:
        return ""
    table = SweepTable.started[-1].command
    return f"; the other jobs' results stay, and this prints how to run what is missing: {table}"


def _refuse_two_sweeps(arguments: Sequence[str]) -> None:
    """Exit with one line for two sweeps at once: Hydra would silently drop the grids of both."""
    for argument in arguments:
        if re.match(r"\+?sweep=.*,", argument):
            raise SystemExit(f"error: {argument}: one command runs one sweep; give one command for each")


def _refuse_two_experiments(arguments: Sequence[str]) -> None:
    """Exit with one line for `+experiment` twice: Hydra would advise to put an override into a file."""
    names = [text.removeprefix(EXPERIMENT).strip("[]") for text in arguments if text.startswith(EXPERIMENT)]
    if len(names) > 1:
        raise SystemExit(
            f"error: one +experiment holds all of them; combine them: '{EXPERIMENT}[{','.join(names)}]'"
        )


if __name__ == "__main__":
    from sprec import run  # launchers and callbacks know this module by its name, not as __main__

    run.main()
