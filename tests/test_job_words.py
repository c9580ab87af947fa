"""What a sweep's job says of itself: the command that repeats it, and its line in the log."""

import logging
import shlex
from types import SimpleNamespace

import pytest
from hydra.types import RunMode

from sprec import run
from sprec.progress import ConsoleHandler


@pytest.fixture
def sweep_job(monkeypatch):
    """Make `run` believe that it is a job of a sweep with these overrides."""

    def become(task, hydra=()):
        config = SimpleNamespace(
            mode=RunMode.MULTIRUN,
            overrides=SimpleNamespace(task=list(task), hydra=list(hydra)),
            runtime=SimpleNamespace(output_dir="out/0"),
            job=SimpleNamespace(num=0),
            callbacks={"table": SimpleNamespace(varied=[], jobs=0, started=0.0)},
        )
        monkeypatch.setattr(run, "HydraConfig", SimpleNamespace(get=lambda: config))
        monkeypatch.setattr(ConsoleHandler, "in_sweep", False)

    return become


def test_a_jobs_command_finds_options_of_ones_own(sweep_job):
    sweep_job(["negatives=mine", "seed=1"], ["hydra.searchpath=[file:///my/conf]", "hydra.mode=MULTIRUN"])
    assert shlex.split(run._command())[3:] == [
        *("negatives=mine", "seed=1", "hydra.searchpath=[file:///my/conf]"),
        *("hydra.mode=RUN", "hydra.run.dir=out/0"),
    ]


def test_a_jobs_line_in_the_log_hides_secrets(sweep_job, caplog):
    sweep_job(["dataset.reader.source.url=https://me:abc@host/x.zip?token=abc", "tracker.api_key=abc"])
    with caplog.at_level(logging.INFO):
        run._log_place_in_sweep()
    assert "job 1" in caplog.text
    assert "abc" not in caplog.text
