"""What Hydra calls around runs and sweeps: folders of their own, and the sweep's table at its end."""

import math
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sprec.evaluation.registry import direction_of
from sprec.experiment.config import Settings, validate_settings
from sprec.progress import table_console
from sprec.records.output_folder import CLAIM_FILE, make_free_folder, refuse_other_record
from sprec.records.redaction import redact, redact_word
from sprec.records.run_record import FILE_NAME


def to_settings(config: DictConfig) -> Settings:
    """Return the typed settings of a composed configuration; `ValueError` names each wrong key."""
    # `sweep` is the group's choice, of which nothing is left; `hydra` stands here before the job has begun.
    keys = [str(key) for key in config if key not in ("sweep", "hydra")]
    container: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=True)
    return validate_settings(container)


class OutputFolders(Callback):
    """Gives each run and sweep a folder of its own before Hydra writes into one."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Give the run a free folder, or refuse one that was asked for and has another run's record."""
        folder = Path(config.hydra.run.dir)
        with _one_line_errors():
            if not _is_asked_for(config, "run.dir"):
                with read_write(config):
                    config.hydra.run.dir = str(make_free_folder(folder))
            elif (folder / FILE_NAME).exists():
                refuse_other_record(folder, to_settings(config).model_dump())

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Take secrets out of what Hydra has written about the job and its sweep by now."""
        hydra = config.hydra
        own = Path(hydra.runtime.output_dir) / hydra.output_subdir if hydra.output_subdir else None
        for file in (*(own.glob("*.yaml") if own else ()), Path(hydra.sweep.dir) / "multirun.yaml"):
            if file.is_file():
                _redact_yaml(file)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Take secrets out of a sweep's words, which Hydra prints when a job has failed."""
        job_return.overrides = [redact_word(word) for word in job_return.overrides or ()]

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Name the sweep, and give it a free folder, or free folders in the one that was asked for."""
        folder = Path(config.hydra.sweep.dir)
        jobs, varied = read_grid(config)
        for note in replaced_values(config):
            table_console().print(note, style="dim", soft_wrap=True, markup=False, highlight=False)
        values: dict[str, object] = {
            "callbacks.table.sweep": f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(4)}",
            "callbacks.table.jobs": jobs,
            "callbacks.table.varied": varied,
            "callbacks.table.started": time.time(),
        }
        with _one_line_errors():
            _check_direction(config)
            if not _is_asked_for(config, "sweep.dir"):
                values["sweep.dir"] = make_free_folder(folder)
            elif not _is_asked_for(config, "sweep.subdir") and any(folder.glob(f"*/{CLAIM_FILE}")):
                values["sweep.subdir"] = f"${{hydra.job.num}}-{_next_sweep_number(folder)}"
        with read_write(config), open_dict(config):
            for key, value in values.items():
                OmegaConf.update(config.hydra, key, str(value) if isinstance(value, Path) else value)
                # Jobs compose their configuration anew, whatever launches them, from these overrides.
                text = repr(value) if isinstance(value, int | float | list) else _quote(str(value))
                config.hydra.overrides.hydra.append(f"hydra.{key}={text}")


def _check_direction(config: DictConfig) -> None:
    """Raise `ValueError` for a search that would look for the worst value of its goal."""
    goal, direction = config.get("goal"), config.hydra.sweeper.get("direction")
    if not goal or not isinstance(direction, str):
        return
    best = {1: "maximize", -1: "minimize"}.get(direction_of(goal))  # an unknown goal is refused elsewhere
    if best and direction != best:
        raise ValueError(
            f"goal={goal} with hydra.sweeper.direction={direction} looks for the worst; add "
            f"hydra.sweeper.direction={best}"
        )


def _redact_yaml(file: Path) -> None:
    """Replace secrets in a file of Hydra's, whose interpolations stay as they are."""
    content: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    clean: Any = redact(content)
    if clean != content:
        OmegaConf.save(OmegaConf.create(clean), file)


def _quote(text: str) -> str:
    """Return a text as a quoted value of Hydra's overrides."""
    return "'" + text.replace("'", "\\'") + "'"


def _is_asked_for(config: DictConfig, key: str) -> bool:
    return any(override.startswith(f"hydra.{key}=") for override in config.hydra.overrides.hydra)


def _next_sweep_number(folder: Path) -> int:
    """Return the number that no earlier sweep's jobs in this folder end in."""
    number = 2
    while any(folder.glob(f"*-{number}")):
        number += 1
    return number


def read_grid(config: DictConfig) -> tuple[int, list[str]]:
    """Return how many jobs a sweep has (0 if its sweeper decides that later), and what differs among them."""
    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith("BasicSweeper"):
        return int(sweeper.get("n_trials") or 0), []
    words = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*words, *config.hydra.overrides.task])
    # Of a key that is given twice, such as a sweep's own `method` and the command's, Hydra takes the last.
    last = {override.get_key_element(): override for override in overrides}
    grids = [override for override in last.values() if override.is_sweep_override()]
    jobs = math.prod(sum(1 for _ in grid.sweep_string_iterator()) for grid in grids)
    return jobs, [grid.get_key_element().lstrip("+") for grid in grids]


def replaced_values(config: DictConfig) -> list[str]:
    """Return a line for each key of a sweep's own whose values the command line replaces."""
    own = config.hydra.sweeper.get("params") or {}
    typed = {word.partition("=")[0]: redact_word(word) for word in config.hydra.overrides.task}
    return [
        f"{typed[key]} takes the place of the sweep's own {key}={own[key]}" for key in own if key in typed
    ]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Exit with one line for an error in a callback, which Hydra would turn into a warning."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {' '.join(str(error).split())}") from None


class SweepTable(Callback):
    """Prints the sweep's table at its end; `sprec.report --table` prints it again at any time.

    `sweep` (its id), `jobs`, `started` (seconds since 1970) and the `varied` keys are for its jobs.
    """

    started_sweeps: ClassVar[list["SweepTable"]] = []  # Hydra calls nothing at the end of a failed sweep

    def __init__(self, table: str, sweep: str, **place: Any) -> None:
        self.table, self.sweep = table, sweep
        self.folder = Path()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep's folder and id, which `OutputFolders` has chosen."""
        self.folder, self.sweep = Path(config.hydra.sweep.dir), config.hydra.callbacks.table.sweep
        self.started_sweeps.append(self)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Show the table, and the command for differences."""
        self.show()
        print(f"all columns, and differences with intervals: {self.command}")

    @property
    def command(self) -> str:
        """The command that prints the table."""
        return shlex.join(["python", "-m", "sprec.report", str(self.folder), "--table", self.table])

    def show(self) -> None:
        """Show the table of this sweep's records, if there are any, and what happened to the other jobs."""
        from sprec.records.record_search import find_records
        from sprec.report.tables.assemble import score_tables
        from sprec.report.tables.columns import headline_keys
        from sprec.report.tables.comparison import TableOptions
        from sprec.report.tables.formats import print_table
        from sprec.report.tables.missing import unrecorded_notes
        from sprec.report.tables.table_kinds import TABLE_KINDS

        console = table_console()
        readable, damaged = find_records([self.folder])
        records = [record for _, record in readable if record.sweep == self.sweep]
        keys = headline_keys([one for record in records for one in record.evaluations]) if records else ()
        options = TableOptions(differences=False, columns=tuple(keys))
        for table in score_tables(TABLE_KINDS[self.table], records, options) if records else ():
            print_table(table, console)
        notes = [f"left out: {error}" for error in damaged]
        if records:
            page = ["python", "-m", "sprec.report", "page", str(self.folder)]
            notes.append(f"page: {shlex.join([*page, '--output', str(self.folder / 'report.html')])}")
        for note in [*notes, *unrecorded_notes([self.folder], sweep=self.sweep)]:
            console.print(note, style="dim", soft_wrap=True, markup=False, highlight=False)
