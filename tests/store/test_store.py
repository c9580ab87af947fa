"""The stage store: everything is computed once, whole, whoever dies or races."""

import hashlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import pytest

from sprec.store.atomic_files import atomic_path
from sprec.store.store import Stage, Store, StoreError

SFT = Stage("sft", {"rows": 8}, {"data": "d1"})
DPO = Stage("dpo", {"beta": 0.1}, {"sft": SFT.key})

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
result = Store(Path(root)).run(Stage(name, {"rows": 8}, {"data": "d1"}), work)
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


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def never(folder):
    raise AssertionError("a finished stage was computed again")


def partials(root):
    return list((root / ".partial").iterdir())


def test_a_stage_is_computed_once_and_then_reused(store):
    assert store.find(SFT) is None
    first = store.run(SFT, write("one"))
    again = store.run(SFT, never)
    assert store.find(SFT) == again
    assert (first.reused, again.reused) == (False, True)
    assert first.path == again.path == store.path(SFT) == store.root / "sft" / SFT.key
    assert first.seconds == again.seconds > 0
    assert (first.path / "sub" / "file").read_text() == "one"
    assert partials(store.root) == []


def test_the_description_says_what_was_computed_from_what(store):
    store = Store(store.root, describe_maker=lambda: {"commit": "c0ffee", "dirty": False})
    result = store.run(DPO, write("four"))
    assert datetime.fromisoformat(result.made["time"]).tzinfo is not None
    assert json.loads((result.path / "stage.json").read_text()) == {
        "name": "dpo",
        "settings": {"beta": 0.1},
        "inputs": {"sft": SFT.key},
        "code": "",
        "versions": {},
        "seconds": result.seconds,
        "files": {"sub/file": {"bytes": 4, "sha256": hashlib.sha256(b"four").hexdigest()}},
        "made": {"commit": "c0ffee", "dirty": False, "time": result.made["time"]},
    }


def test_asking_writes_nothing(tmp_path):
    store = Store(tmp_path / "absent")
    assert store.find(SFT) is None
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
        lambda folder: edit_description(folder, files=None),
        lambda folder: (folder / "sub" / "file").unlink(),
        lambda folder: (folder / "sub" / "file").write_text("onetwo"),
    ],
    ids=[
        "no description",
        "half a description",
        "a list",
        "other key",
        "no files",
        "file gone",
        "other size",
    ],
)
def test_a_damaged_stage_is_one_warning_and_is_computed_again(store, damage, caplog):
    damage(store.run(SFT, write("one")).path)
    assert store.find(SFT) is None
    assert not store.run(SFT, write("one")).reused
    assert [entry.getMessage().endswith("): computing it again") for entry in caplog.records] == [True]
    assert f"{store.path(SFT)} is damaged (" in caplog.text
    assert store.run(SFT, never).reused


def test_one_flipped_bit_is_noticed_when_a_process_first_reads_the_stage(store, caplog):
    file = store.run(SFT, write("one")).path / "sub" / "file"
    file.write_bytes(b"onf")
    fresh = Store(store.root)
    assert fresh.find(SFT) is not None  # planning compares sizes alone
    assert not fresh.run(SFT, write("one")).reused
    assert file.read_text() == "one"
    assert caplog.text.count("is damaged (sub/file is not the file that was stored): computing it again") == 1
    assert Store(store.root).run(SFT, never).reused


def test_contents_are_read_once_in_a_process(store, monkeypatch):
    store.run(SFT, write("one"))
    fresh, read = Store(store.root), []
    monkeypatch.setattr("sprec.store.stage_files._sha256", lambda path: read.append(path) or sha256("one"))
    assert fresh.run(SFT, never).reused
    assert fresh.run(SFT, never).reused
    assert read == [store.path(SFT) / "sub" / "file"]


def test_a_stage_is_opened_by_the_key_that_a_record_holds(store):
    store.run(SFT, write("one"))
    assert Store(store.root).open("sft", SFT.key) == store.path(SFT)
    with pytest.raises(StoreError, match=f"the stage sft is not stored at {store.root}/sft/000"):
        store.open("sft", 32 * "0")
    (store.path(SFT) / "sub" / "file").write_text("onf")
    with pytest.raises(StoreError, match="is damaged: sub/file is not the file that was stored"):
        Store(store.root).open("sft", SFT.key)


OLD, NEW = replace(SFT, code="old"), replace(SFT, code="new", versions={"torch": "2.6.0"})


def test_what_other_code_made_is_reused_only_where_any_code_is_accepted(store):
    store.run(OLD, write("old"))
    assert store.find(NEW) is None
    accepting = Store(store.root, accept="any_code")
    result = accepting.run(NEW, never)
    assert (result.key, result.path, result.reused, result.other_code) == (
        OLD.key,
        store.path(OLD),
        True,
        True,
    )
    assert accepting.find(replace(NEW, settings={"rows": 9})) is None
    assert not store.run(NEW, write("new")).other_code
    exact = accepting.run(NEW, never)
    assert (exact.key, exact.other_code) == (NEW.key, False)


def test_use_is_noted_for_those_who_prune(store):
    description = store.run(SFT, write("one")).path / "stage.json"
    os.utime(description, (0, 0))
    store.find(SFT)
    assert description.stat().st_mtime == 0
    store.run(SFT, never)
    assert description.stat().st_mtime > 0


@pytest.mark.parametrize(
    ("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775)]
)
def test_files_and_folders_follow_the_umask_whatever_a_library_does(store, umask, file_mode, folder_mode):
    def work(folder):
        write("one")(folder)
        (folder / "sub").chmod(0o700)
        (folder / "sub" / "file").chmod(0o600)  # as safetensors does

    before = os.umask(umask)
    try:
        folder = store.run(SFT, work).path
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (folder, folder / "sub", folder / "sub" / "file")]
    assert modes == [folder_mode, folder_mode, file_mode]


def test_checkpoints_outlive_an_error_and_a_kill_and_go_with_the_finished_stage(store):
    seen = []

    def stopped(folder):
        place = store.checkpoint_folder(SFT)
        seen.append(sorted(path.name for path in place.glob("*")))
        with atomic_path(place / f"step_{len(seen)}") as partial:
            partial.write_bytes(b"weights")
        (place / ".step_9.1.2.partial").write_bytes(b"half")  # what a kill leaves
        if len(seen) < 3:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            store.run(SFT, stopped)
    store.run(SFT, stopped)
    assert seen == [[], ["step_1"], ["step_1", "step_2"]]
    assert not store.checkpoint_folder(SFT).exists()
    assert store.checkpoint_folder(DPO) != store.checkpoint_folder(SFT)


def test_a_file_added_later_does_no_harm(store):
    (store.run(SFT, write("one")).path / "notes.txt").write_text("mine")
    assert store.run(SFT, never).reused


def test_a_root_that_cannot_be_written_is_one_line_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    store = Store(tmp_path / "file" / "store")
    assert store.find(SFT) is None
    with pytest.raises(StoreError) as caught:
        store.run(SFT, never)
    assert re.fullmatch(
        rf"the stage store {store.root} cannot be written \(Not a directory; [0-9.]+ GB free\); "
        "set SPREC_HOME or store.path to a folder that can",
        str(caught.value),
    )


def test_a_disk_that_gets_full_in_the_work_is_one_line_with_space_and_remedy(store):
    def fill(folder):
        raise OSError(28, "No space left on device", str(folder / "weights"))

    with pytest.raises(StoreError) as caught:
        store.run(SFT, fill)
    assert re.fullmatch(
        rf"the stage store {store.root} cannot be written \(No space left on device; [0-9.]+ GB free\); "
        r"make room \(python -m sprec.store lists and prunes stages\), or set SPREC_HOME or store.path",
        str(caught.value),
    )
    assert partials(store.root) == []


def test_other_errors_of_the_work_are_not_blamed_on_the_store(store, tmp_path):
    def read(folder):
        (tmp_path.parent / "no such raw data").read_text()

    with pytest.raises(FileNotFoundError, match="no such raw data"):
        store.run(SFT, read)


def test_what_dead_processes_left_of_other_stages_goes_too(start, store):
    process = start()
    process.says()
    process.go()
    assert process.says() == "computing"
    store.run(DPO, write("one"))
    assert len(partials(store.root)) == 1  # somebody is still at it
    process.popen.kill()
    process.popen.wait()
    Store(store.root).run(replace(DPO, settings={"beta": 1}), write("one"))
    assert partials(store.root) == []


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
    assert store.find(SFT) is None
    with caplog.at_level(logging.INFO):
        assert not store.run(SFT, write("one")).reused
    assert caplog.text == ""
    assert partials(store.root) == []
    assert sorted(path.name for path in store.path(SFT).iterdir()) == ["stage.json", "sub"]


def test_what_a_store_prepares_is_done_before_a_computation_and_never_for_a_stored_stage(tmp_path):
    done = []
    store = Store(tmp_path, prepare=lambda: done.append("prepared"))
    for _ in range(2):
        store.run(SFT, lambda folder: done.append("computed"))
    assert done == ["prepared", "computed"]
