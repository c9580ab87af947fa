"""Two hundred kills: finished stages stay so, tuning goes on from its checkpoint, bytes are the same.

Each run is a forked process that kills itself at a drawn place. It notes stages, optimiser steps and
checkpoints in a file as they happen. A second run then finishes, and is compared with one never killed.
"""

import hashlib
import importlib
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import wraps
from itertools import count

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]
TOY = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.threads=1", "trainer.device=cpu"]
TOY += ["negatives=beams", "negatives.count=1", "ranking=grounded", "embeddings=ngrams"]
TOY += ["budget.sft_rows=160", "budget.iteration_rows=48", "budget.test_rows=24", "budget.iterations=1"]
TOY += ["trainer.checkpoint_minutes=0.0005", "trainer.eval_batch_tokens=1024"]
SEED, PARTS, EACH = 20251128, 10, 20
PLACES = ["tuning"] * 6 + ["writing"] * 4 + ["anywhere"] * 10
"""Of twenty kills."""


@dataclass(frozen=True)
class Kill:
    """A kill `delay` seconds after the `number`-th beginning of what `place` names."""

    place: str
    number: int
    delay: float


class Notes:
    """Lines in a file that a killed process leaves as well."""

    def __init__(self, path, kill):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.kill, self.seen = kill, 0

    def write(self, *words):
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())

    def begin(self, place):
        """Start the clock of the kill where this is its place."""
        if self.kill is None or self.kill.place != place:
            return
        self.seen += 1
        if self.seen == self.kill.number:
            timer = threading.Timer(self.kill.delay, os.kill, [os.getpid(), signal.SIGKILL])
            timer.daemon = True
            timer.start()


def observe(notes):
    """Note stages, steps, checkpoints and groups of titles in this process."""
    from sprec.generation import decoding, finished_groups
    from sprec.store.store import Store
    from sprec.training.checkpoint import TrainingCheckpoint
    from sprec.training.trainer import FineTuningModule

    finished_groups.FLUSH_SECONDS = 0.0  # a toy's groups take less than what a kill may cost

    def around(owner, name, before, after):
        original = getattr(owner, name)

        @wraps(original)
        def replaced(*arguments, **options):
            state = before(*arguments)
            result = original(*arguments, **options)
            after(state, *arguments)
            return result

        setattr(owner, name, replaced)

    around(
        *(Store, "_compute"),
        lambda store, stage, work: notes.write("begin", stage.name, stage.key),
        lambda _, store, stage, work: notes.write("done", stage.name, stage.key),
    )
    around(
        *(FineTuningModule, "training_step"),
        lambda *_: notes.begin("tuning"),
        lambda _, module, numbers, place: notes.write("step", module.label, module.first_step + place + 1),
    )
    around(
        *(TrainingCheckpoint, "save_if_due"),
        lambda checkpoint, make_state: checkpoint._last,
        lambda last, checkpoint, make_state: checkpoint._last != last and notes.write("saved"),
    )
    around(
        *(decoding, "compute_group"),
        lambda *_: notes.begin("writing"),
        lambda *_: notes.write("group"),
    )


def run_child(home, out, notes_file, kill, log=None):
    """Run the toy in a forked process; return its exit code, -9 where it was killed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        shown = os.open(log or f"{out}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(shown, 1), os.dup2(shown, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)  # not pytest's
        os.environ["SPREC_HOME"] = str(home)
        notes = Notes(notes_file, kill)
        observe(notes)
        notes.begin("anywhere")
        sys.argv = ["sprec.run", *TOY, f"hydra.run.dir={out}"]
        from sprec import run

        run.main()
        status = 0
    except SystemExit as end:  # what the interpreter would do, which `os._exit` does not
        status = int(isinstance(end.code, str)) or end.code or 0
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    finally:
        os._exit(status)


def digests(home):
    """Return the content of all stored files by path, but for the account of who made them and when."""
    files = (path for path in (home / "stages").rglob("*") if path.is_file() and path.name != "stage.json")
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.suffix != ".lock"
    }


def lines(path, word):
    return [line.split()[1:] for line in path.read_text().splitlines() if line.startswith(f"{word} ")]


def repeated_steps(before, after):
    """Return the steps that were taken twice, and those that no checkpoint held when the kill came."""
    taken, unsaved, is_saved = [], [], False
    for line in before.read_text().splitlines():
        word, *rest = line.split()
        if word == "step":  # noted when it is over, and so after its checkpoint
            unsaved = [] if is_saved else [*unsaved, rest]
            taken.append(rest)
        elif word == "done":
            unsaved = []
        is_saved = word == "saved"
    return [step for step in lines(after, "step") if step in taken], unsaved


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the files of a run that nobody kills, its notes and its seconds."""
    for name in ("sprec.experiment.session", "sprec.experiment.prepare", "peft", "lightning.pytorch"):
        importlib.import_module(name)  # so that a fork need not
    folder = tmp_path_factory.mktemp("whole")
    start = time.monotonic()
    assert run_child(folder / "home", folder / "out", folder / "notes", None) == 0
    return digests(folder / "home"), folder / "notes", time.monotonic() - start


def draw(randomness, place, notes, seconds):
    if place == "anywhere":
        return Kill(place, 1, randomness.uniform(0, seconds))
    total = notes.read_text().count("step " if place == "tuning" else "group")
    return Kill(place, randomness.randint(1, total), randomness.uniform(0, 0.05))


@pytest.mark.parametrize("part", range(int(os.environ.get("KILL_PARTS", PARTS))))
def test_kills_repeat_nothing_but_the_last_steps(tmp_path, whole, part):
    expected, notes, seconds = whole
    randomness, wrong = random.Random(SEED + part), []
    for number, place in enumerate((PLACES * EACH)[:EACH]):
        for attempt in count():  # a kill that was drawn for after the run's end is none
            folder = tmp_path / f"{number}-{attempt}"
            folder.mkdir()
            kill = draw(randomness, place, notes, seconds)
            first = run_child(folder / "home", folder / "first", folder / "before", kill)
            if first:
                break
        second = run_child(folder / "home", folder / "second", folder / "after", None)
        twice = [
            stage for stage in lines(folder / "before", "done") if stage in lines(folder / "after", "begin")
        ]
        repeated, unsaved = repeated_steps(folder / "before", folder / "after")
        got = digests(folder / "home")
        right = second == 0 and not twice and all(step in unsaved for step in repeated) and got == expected
        if not right or first != -signal.SIGKILL:
            wrong.append((kill, first, second, twice, repeated, unsaved, got == expected))
    assert wrong == []
