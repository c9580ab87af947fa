"""`python -m sprec.run dataset=movielens`: one run, from raw ratings to a table."""

import os
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sprec.config import Settings, validated
from sprec.runtime.redaction import redact_text

TRACE = "traceback.txt"  # of a failed job, for who looks for a bug; people get one line
USER_ERRORS = (
    *(ValueError, FloatingPointError, OSError, RuntimeError),
    *(HydraException, OmegaConfBaseException),
)
HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())


def _settings(config: DictConfig) -> Settings:
    container: Any = OmegaConf.to_container(config, resolve=True)
    container.pop("sweep", None)
    return validated(container)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> None:
    """Run what the configuration says, and leave `run.json` in the job's output folder."""
    settings = _settings(config)
    from sprec.session import Session

    folder = Path(HydraConfig.get().runtime.output_dir)
    session = Session(settings, folder, command=shlex.join(["python", "-m", "sprec.run", *sys.argv[1:]]))
    try:
        session.run()
    except Exception:
        (folder / TRACE).write_text(redact_text(traceback.format_exc()), encoding="utf-8")
        raise


class SweepTable(Callback):
    """Prints the sweep's table when it has ended; `sprec.report --table` prints it again at any time."""

    def __init__(self, table: str = "main") -> None:
        self.table = table

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Read the jobs' records below the sweep's folder and show their table."""
        from rich.console import Console

        from sprec.report.formats import show
        from sprec.report.kinds import KINDS
        from sprec.report.tables import Choice, tables
        from sprec.runtime.records import find_records

        folder, console = Path(config.hydra.sweep.dir), Console()
        records = [record for _, record in find_records([folder])]
        for table in tables(KINDS[self.table], records, Choice(differences=False)):
            show(table, console)
        command = ["python", "-m", "sprec.report", str(folder), "--table", self.table]
        console.print(f"differences with intervals: {shlex.join(command)}", markup=False, soft_wrap=True)


def main() -> None:
    """Console entry: user errors are one line and exit status 1."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints its own trace
    _refuse_two_sweeps(sys.argv[1:])
    try:
        job()
    except USER_ERRORS as error:
        raise SystemExit(f"error: {' '.join(str(error).split())}") from None
    except KeyboardInterrupt:
        raise SystemExit(
            "interrupted: finished stages are stored; the same command goes on from there"
        ) from None


def _refuse_two_sweeps(arguments: Sequence[str]) -> None:
    """Hydra would drop the grids of both without a word."""
    for argument in arguments:
        if re.match(r"\+?sweep=.*,", argument):
            raise SystemExit(f"error: {argument}: one command runs one sweep; give one command for each")


if __name__ == "__main__":
    main()
