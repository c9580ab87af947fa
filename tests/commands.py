"""Commands of the product, each in a process forked from one that has imported what they need.

A fresh interpreter spends ten seconds on imports, more than most of the tests' runs take. What depends on
one (joblib ends its pool when the interpreter ends, which a forked process never does) asks for it.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).parents[1]
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(
    [
        *(
            "sprec.run",
            "sprec.experiment.session",
            "sprec.experiment.build",
            "sprec.experiment.distributed_worker",
            "sprec.report.__main__",
            "wandb",
        ),
        *("sprec.report.tables.assemble", "lightning.pytorch", "transformers.models.llama.modeling_llama"),
    ]
)


@dataclass(frozen=True)
class Done:
    """How a command ended; a signal's number is negative."""

    returncode: int
    stdout: str
    stderr: str


def run(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    fresh: bool = False,
    check: bool = True,
) -> Done:
    """Run `python -m module arguments` in the project's folder to its end; `fresh`: by a new interpreter."""
    done = (_fresh if fresh else _forked)(module, arguments, {**os.environ, **environment})
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def _fresh(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Done:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    return Done(done.returncode, done.stdout, done.stderr)


def _forked(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Done:
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = WARM.Process(target=_command, args=(module, arguments, environment, out, err))
        process.start()
        process.join()
        return Done(process.exitcode, out.read_text(), err.read_text())


@contextmanager
def started(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple]:
    """Start the command and yield its process and its lines of both streams; it has ended afterwards."""
    receiving, sending = WARM.Pipe(duplex=False)
    process = WARM.Process(
        target=_command, args=(module, arguments, {**os.environ, **environment}, sending, sending)
    )
    process.start()
    sending.close()
    try:
        with receiving, os.fdopen(os.dup(receiving.fileno())) as lines:
            yield process, lines
    finally:
        process.join()


def _command(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    out: Path | Connection,
    err: Path | Connection,
) -> None:
    """Be the command, in the process forked for it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background jobs ignore it
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(":") if place]
    for number, target in ((1, out), (2, err)):
        _onto(number, target)
    sys.stdout.reconfigure(line_buffering=True)
    main = importlib.import_module("sprec.report.__main__" if module == "sprec.report" else module)
    sys.argv = [main.__file__, *arguments]
    raise SystemExit(main.main())


def _onto(number: int, target: Path | Connection) -> None:
    if isinstance(target, Path):
        with target.open("wb") as file:
            os.dup2(file.fileno(), number)
    else:
        os.dup2(target.fileno(), number)
