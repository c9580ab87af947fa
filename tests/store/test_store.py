"""The stage store: everything is computed once, whole, whoever dies or races."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from sprec.store.store import Stage, Store, StoreError

SFT = Stage("sft", 1, {"rows": 8}, {"data": "d1"})
DPO = Stage("dpo", 1, {"beta": 0.1}, {"sft": SFT.key})

# Speaks one line per event, so that a test can put every process where it wants it.
PROCESS = """
import logging, sys
from pathlib import Path
from sprec.store.store import Stage, Store

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")

def work(folder):
    (folder / "half").write_text("half")
    print("computing", flush=True)
    sys.stdin.readline()
    (folder / "half").rename(folder / "whole")

root, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
result = Store(Path(root)).run(Stage(name, 1, {"rows": 8}, {"data": "d1"}), work)
print("reused" if result.reused else "computed", sorted(p.name for p in result.path.iterdir()), flush=True)
"""


class Process:
    """A process that runs one stage and stops at every step."""

    def __init__(self, root, name="sft"):
        self.popen = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(root), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self):
        return self.popen.stdout.readline().strip()

    def go(self):
        self.popen.stdin.write("go\n")
        self.popen.stdin.flush()


@pytest.fixture
def start(tmp_path):
    started = []

    def start(name="sft"):
        started.append(Process(tmp_path, name))
        return started[-1]

    yield start
    for process in started:
        process.popen.kill()
        process.popen.communicate()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def write(text):
    def work(folder):
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)

    return work


def never(folder):
    raise AssertionError("a finished stage was computed again")


def partials(root):
    return list((root / ".partial").iterdir())


def test_a_stage_is_computed_once_and_then_reused(store):
    assert not store.has(SFT)
    first = store.run(SFT, write("one"))
    again = store.run(SFT, never)
    assert store.has(SFT)
    assert (first.reused, again.reused) == (False, True)
    assert first.path == again.path == store.path(SFT) == store.root / "sft" / SFT.key
    assert first.seconds == again.seconds > 0
    assert (first.path / "sub" / "file").read_text() == "one"
    assert partials(store.root) == []


def test_the_description_says_what_was_computed_from_what(store):
    result = store.run(DPO, write("four"))
    assert json.loads((result.path / "stage.json").read_text()) == {
        "name": "dpo",
        "version": 1,
        "settings": {"beta": 0.1},
        "inputs": {"sft": SFT.key},
        "seconds": result.seconds,
        "sizes": {"sub/file": 4},
    }


def test_asking_writes_nothing(tmp_path):
    store = Store(tmp_path / "absent")
    assert not store.has(SFT)
    assert not store.root.exists()


def test_another_stage_is_another_folder(store):
    store.run(SFT, write("one"))
    store.run(DPO, write("two"))
    assert (store.path(SFT) / "sub" / "file").read_text() == "one"
    assert (store.path(DPO) / "sub" / "file").read_text() == "two"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_passes_and_leaves_nothing(store, error):
    def fail(folder):
        write("half")(folder)
        raise error("in work")

    with pytest.raises(error, match="in work"):
        store.run(SFT, fail)
    assert not store.path(SFT).exists()
    assert partials(store.root) == []
    assert not store.run(SFT, write("one")).reused


def test_a_stage_can_run_another_stage(store):
    def nested(folder):
        inner = store.run(SFT, write("one"))
        (folder / "copy").write_text((inner.path / "sub" / "file").read_text())

    assert (store.run(DPO, nested).path / "copy").read_text() == "one"


def edit_description(folder, **changes):
    description = json.loads((folder / "stage.json").read_text())
    (folder / "stage.json").write_text(json.dumps(description | changes))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "stage.json").unlink(),
        lambda folder: (folder / "stage.json").write_text('{"name": "sf'),
        lambda folder: (folder / "stage.json").write_text("[]"),
        lambda folder: edit_description(folder, settings={"rows": 9}),
        lambda folder: edit_description(folder, sizes=None),
        lambda folder: (folder / "sub" / "file").unlink(),
        lambda folder: (folder / "sub" / "file").write_text("onetwo"),
    ],
    ids=[
        "no description",
        "half a description",
        "a list",
        "other key",
        "no sizes",
        "file gone",
        "file changed",
    ],
)
def test_a_damaged_stage_is_computed_again(store, damage, caplog):
    damage(store.run(SFT, write("one")).path)
    assert not store.has(SFT)
    assert not store.run(SFT, write("one")).reused
    assert "does not agree with its stage.json" in caplog.text
    assert store.run(SFT, never).reused


def test_a_file_added_later_does_no_harm(store):
    (store.run(SFT, write("one")).path / "notes.txt").write_text("mine")
    assert store.run(SFT, never).reused


def test_a_root_that_cannot_be_written_is_one_line_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    store = Store(tmp_path / "file" / "store")
    assert not store.has(SFT)
    with pytest.raises(StoreError) as caught:
        store.run(SFT, never)
    assert str(caught.value) == (
        f"the stage store {store.root} cannot be written (Not a directory); "
        "set SPREC_HOME or store.path to a folder that can"
    )


def test_an_error_of_the_work_is_not_blamed_on_the_store(store):
    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.run(SFT, full)


def test_racing_processes_compute_once(start, store):
    processes = [start() for _ in range(4)]
    assert {process.says() for process in processes} == {"ready"}
    for process in processes:
        process.go()
    first_words = [process.says() for process in processes]
    assert sum(words == "computing" for words in first_words) == 1
    assert sum(words.startswith(f"waiting for sft {SFT.key} computed by ") for words in first_words) == 3
    processes[first_words.index("computing")].go()
    messages = sorted(process.says() for process in processes)
    assert messages == ["computed ['stage.json', 'whole']"] + 3 * ["reused ['stage.json', 'whole']"]
    assert partials(store.root) == []


def test_different_stages_are_computed_at_the_same_time(start):
    processes = [start("sft"), start("dpo")]
    for process in processes:
        process.says()
        process.go()
    assert [process.says() for process in processes] == ["computing", "computing"]
    for process in processes:
        process.go()
    assert [process.says() for process in processes] == 2 * ["computed ['stage.json', 'whole']"]


def test_whoever_waits_for_a_killed_process_computes_instead(start, store):
    victim, heir = start(), start()
    messages = []
    for process in (victim, heir):
        process.says()
        process.go()
        messages.append(process.says())
    assert messages[0] == "computing"
    assert messages[1] == f"waiting for sft {SFT.key} computed by {victim.popen.pid}/{socket.gethostname()}"
    victim.popen.kill()
    assert heir.says() == "computing"
    heir.go()
    assert heir.says() == "computed ['stage.json', 'whole']"
    assert partials(store.root) == []


def test_a_killed_stage_is_computed_afresh_by_the_next_run(start, store, caplog):
    process = start()
    process.says()
    process.go()
    assert process.says() == "computing"
    os.kill(process.popen.pid, signal.SIGKILL)
    assert process.popen.wait() == -signal.SIGKILL
    assert [folder.name.split(".")[0] for folder in partials(store.root)] == [SFT.key]
    assert not store.has(SFT)
    with caplog.at_level(logging.INFO):
        assert not store.run(SFT, write("one")).reused
    assert caplog.text == ""
    assert partials(store.root) == []
    assert sorted(path.name for path in store.path(SFT).iterdir()) == ["stage.json", "sub"]
