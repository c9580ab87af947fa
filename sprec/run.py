"""`python -m sprec.run dataset=movielens`: one run, from raw ratings to a table."""

import logging
import os
import re
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sprec.boundaries import InputError, describe
from sprec.caches import conf_folder
from sprec.deferred_imports import defer_import
from sprec.experiment.config import Node, Settings
from sprec.experiment.config_errors import describe_config_error, describe_failure, flatten_keys
from sprec.experiment.hydra_callbacks import SweepTable, to_settings
from sprec.experiment.nodes import check_node, with_local_folder
from sprec.processes.forked import ForkKilledError, run_in_fork
from sprec.processes.signals import EndedBySignalError, end_after_parent, exit_now, raise_on_signal
from sprec.progress import HEADLINE, ConsoleHandler, format_seconds, table_console
from sprec.records.output_folder import (
    FOLDER_OPTION,
    Claim,
    claim_folder,
    fresh_command,
    refuse_other_record,
)
from sprec.records.provenance import package_versions
from sprec.records.redaction import redact_text, redact_word
from sprec.records.run_record import utc_now

log = logging.getLogger(__name__)
TRACEBACK_FILE = "traceback.txt"  # of a failed job, for whoever looks for the bug; the terminal gets one line
USER_ERRORS = (ValueError, FloatingPointError, OSError, RuntimeError)
PLUGIN_EXTRAS = {
    **{f"hydra/launcher/{name}": "launchers" for name in ("joblib", "submitit_slurm", "submitit_local")},
    "hydra/launcher/ray": "ray",
    "hydra/sweeper/optuna": "optuna",
}
"""The extra of this package that installs a plugin of Hydra."""

EXPERIMENT = "+experiment="
POOL_LAUNCHER = "JoblibLauncher"
"""Ends the name of the launcher that loses all jobs when one process of its pool is killed."""

CONF = conf_folder()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> float | None:
    """Run what the configuration says, leave `run.json` in the job's output folder, and return its goal."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        # Overrides are read inside: one with an interpolation of a missing key raises as it is read.
        words = tuple(map(redact_word, HydraConfig.get().overrides.task))
        claim = Claim(_command(), utc_now(), _sweep().sweep, words)
        # A look at a plan or at data leaves nothing that a report would miss a record of.
        only_looks = config.get("plan") or config.get("describe")
        with nullcontext() if only_looks else claim_folder(folder, claim):
            work = partial(_run, to_settings(config), folder)
            return _run_in_pool(work) if _is_pool_job() else work()
    except Exception as error:
        if HydraConfig.get().mode is RunMode.RUN:
            raise JobFailedError from error
        raise  # Hydra goes on with the sweep's other jobs


class JobFailedError(BaseException):
    """Takes a job's error past Hydra, which would print the whole command line, secrets included."""


def _is_pool_job() -> bool:
    hydra_config = HydraConfig.get()
    launcher: str = hydra_config.launcher._target_
    return hydra_config.mode is RunMode.MULTIRUN and launcher.endswith(POOL_LAUNCHER)


def _run_in_pool(work: Callable[[], float | None]) -> float | None:
    end_after_parent()  # a pool's process would wait for more work for minutes
    try:
        return run_in_fork(work)
    except ForkKilledError as error:
        raise ForkKilledError(f"{error}; to run it again: {fresh_command(_command())}") from None


def _run(settings: Settings, folder: Path) -> float | None:
    # Before torch is imported, which takes seconds.
    check_node("dataset", with_local_folder(settings.dataset))
    if settings.describe:
        from sprec.experiment.describe import describe_dataset

        describe_dataset(settings, _make_dataset, table_console())
        return None
    refuse_other_record(folder, settings.model_dump())
    _log_place_in_sweep()
    defer_import("torch")
    # W&B looks for its version whenever a run begins.
    defer_import("transformers", __version__=package_versions().get("transformers"))
    from sprec.experiment.session import Session

    session = Session(settings, folder, command=_command(), sweep=_sweep().sweep)
    try:
        with raise_on_signal():
            record = session.run()
    except Exception:
        (folder / TRACEBACK_FILE).write_text(redact_text(traceback.format_exc()), encoding="utf-8")
        raise
    if record is None or settings.goal is None:
        return None
    scores = record.evaluations[-1].scores
    if settings.goal not in scores:
        raise ValueError(
            f"goal = {settings.goal} has no value on this data (its metric is undefined here); "
            "choose another goal"
        )
    return scores[settings.goal]


def _make_dataset(node: Node) -> Any:
    """Return the dataset of this node; as `build.instantiate_node`, which imports torch."""
    from hydra.utils import instantiate

    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        raise InputError(f"dataset: {describe(error.__cause__ or error)}") from error


def _command() -> str:
    """Return the command that repeats this job; a sweep's job is repeated alone."""
    config = HydraConfig.get()
    options = sys.argv[1:]
    if config.mode is RunMode.MULTIRUN:  # the process may be a launcher's, with arguments of its own
        search_path = [word for word in config.overrides.hydra if word.startswith("hydra.searchpath=")]
        options = [
            *config.overrides.task,
            *search_path,
            "hydra.mode=RUN",
            f"{FOLDER_OPTION}{config.runtime.output_dir}",
        ]
    # Word by word: quoting for a shell would hide where a secret ends.
    return shlex.join(["python", "-m", "sprec.run", *map(redact_word, options)])


def _sweep() -> Any:
    """Return the settings of `SweepTable`, in which a job finds its sweep."""
    return HydraConfig.get().callbacks["table"]


def _log_place_in_sweep() -> None:
    """Log which job of how many this is, what it chooses, and the sweep's time so far and left."""
    config, sweep = HydraConfig.get(), _sweep()
    ConsoleHandler.in_sweep = config.mode is RunMode.MULTIRUN
    if not ConsoleHandler.in_sweep:
        return
    number, words = config.job.num, list(map(redact_word, config.overrides.task))
    choices = " ".join(word for word in words if not sweep.varied or word.partition("=")[0] in sweep.varied)
    total = f" of {sweep.jobs}" if sweep.jobs else ""
    elapsed = time.time() - sweep.started
    times = f"; {format_seconds(elapsed)} so far" if number else ""
    if number and sweep.jobs > number:
        times += f", about {format_seconds(elapsed / number * (sweep.jobs - number))} left"
    log.info("job %d%s: %s%s", number + 1, total, choices, times, extra=HEADLINE)


def main() -> None:
    """Console entry: a user's error is one line and exit status 1, a signal's end 128 and its number."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints a trace of its own
    sys.argv[1:] = _with_flags_last(sys.argv[1:])
    _refuse_odd_keys(sys.argv[1:])
    _refuse_two_sweeps(sys.argv[1:])
    _refuse_two_experiments(sys.argv[1:])
    try:
        with raise_on_signal():
            job()
    except (Exception, JobFailedError) as raised:
        error = raised.__cause__ if isinstance(raised, JobFailedError) else raised
        assert isinstance(error, Exception)
        for table in SweepTable.started_sweeps:
            with suppress(ValueError, OSError):  # a broken record must not hide the job's own error
                table.show()
        text = str(error).partition("\n-----")[0]  # below that line submitit repeats the job's whole output
        raise SystemExit(f"error: {redact_text(_one_line(error, text))}{_remedy(text)}") from None
    except (EndedBySignalError, KeyboardInterrupt) as error:
        ended = error if isinstance(error, EndedBySignalError) else EndedBySignalError(signal.SIGINT)
        print(f"{ended}: finished stages are stored; the same command goes on from there", file=sys.stderr)
        exit_now(ended.status)


def _one_line(error: Exception, text: str) -> str:
    if isinstance(error, HydraException | OmegaConfBaseException):
        return describe_config_error(text, _known_keys)
    if isinstance(error, USER_ERRORS) or type(error).__module__.startswith("ray."):
        return " ".join(text.split())
    return describe_failure(error)


def _known_keys() -> list[str]:
    """Return the dotted keys of the default configuration."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config"), resolve=False)
    return flatten_keys(config)


def _remedy(error: str) -> str:
    """Return what to do about a plugin that is not installed, or after a sweep with a failed job."""
    for plugin, extra in PLUGIN_EXTRAS.items():
        if f"'{plugin}'" in error:
            return f"; it comes with, in the checkout: pip install -e '.[{extra}]'"
    if not SweepTable.started_sweeps:
        return ""
    table = SweepTable.started_sweeps[-1].command
    return f"; the other jobs' results stay, and this prints how to run what is missing: {table}"


def _with_flags_last(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with -m at their end: after it Hydra takes no more words, and says only so.

    >>> _with_flags_last(["dataset=toy", "-m", "seed=0,1"])
    ['dataset=toy', 'seed=0,1', '-m']
    """
    flags = [word for word in arguments if word in ("-m", "--multirun")]
    return [*(word for word in arguments if word not in flags), *flags]


def _refuse_odd_keys(arguments: Sequence[str]) -> None:
    """Exit with one line for a key that no key looks like, of which Hydra speaks without naming it."""
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if equals and not re.fullmatch(r"--?[\w-]+|[+~]{0,2}[\w@./:-]+", key):
            raise SystemExit(
                f"error: {redact_word(argument)}: {redact_text(key)!r} is no key; "
                "write KEY=VALUE, see --help for all keys"
            )


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
