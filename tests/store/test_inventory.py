"""`python -m sprec.store`: what is stored, and what goes."""

import json
import os
import time

import pytest

from sprec.store.__main__ import main
from sprec.store.store import Stage, Store

DAY = 86400
WEIGHTS = Stage("weights", {}, {})
SFT = Stage("sft", {"rows": 8}, {"model": WEIGHTS.key})
DPO = Stage("dpo", {"beta": 0.1}, {"model": SFT.key})
OTHER = Stage("sft", {"rows": 9}, {"model": WEIGHTS.key})


@pytest.fixture
def root(tmp_path):
    """A store of four stages that were last used 0, 10, 20 and 30 days ago."""
    store = Store(
        tmp_path / "stages", describe_maker=lambda: {"commit": 40 * "c", "user": "ann", "host": "x"}
    )
    for days, stage in enumerate((WEIGHTS, SFT, DPO, OTHER)):
        folder = store.run(stage, lambda folder: (folder / "file").write_bytes(1500 * b"x")).path
        os.utime(folder / "stage.json", 2 * (time.time() - 10 * days * DAY,))
    return store.root


def record(folder, *stages):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"stages": [{"key": stage.key} for stage in stages]}))
    return folder


def run(capsys, root, *arguments):
    status = main(["--root", str(root), *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def left(root):
    return {path.name for path in root.glob("[!.]*/*")}


def test_stages_are_listed_with_size_age_last_use_and_maker_the_oldest_first(capsys, root):
    status, out, _ = run(capsys, root)
    *lines, total = out.splitlines()
    assert status == 0
    assert [line.split()[1] for line in lines] == [OTHER.key, DPO.key, SFT.key, WEIGHTS.key]
    assert "used 30 d ago" in lines[0]
    assert lines[0].endswith("cccccccccc ann@x")
    assert total.startswith("4 stages, ")
    assert total.endswith(f" stored; {root}")


def test_what_was_not_used_for_long_goes(capsys, root):
    status, out, _ = run(capsys, root, "--older-than", "15d", "--dry-run")
    assert (status, out.splitlines()[-1].split(";")[0].endswith("would be removed")) == (0, True)
    assert len(left(root)) == 4
    assert run(capsys, root, "--older-than", "15d")[0] == 0
    assert left(root) == {WEIGHTS.key, SFT.key}
    assert list((root / ".partial").iterdir()) == []


def test_what_no_record_uses_goes_and_what_those_that_stay_were_made_from_stays(capsys, root, tmp_path):
    record(tmp_path / "runs" / "a", DPO)
    status, out, _ = run(capsys, root, "--unused-by", tmp_path / "runs")
    assert (status, out.splitlines()[0].split()[1]) == (0, OTHER.key)
    assert left(root) == {WEIGHTS.key, SFT.key, DPO.key}


def test_records_behind_a_link_are_seen(capsys, root, tmp_path):
    record(tmp_path / "disk" / "a", DPO)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "moved").symlink_to(tmp_path / "disk")
    assert run(capsys, root, "--unused-by", tmp_path / "runs")[0] == 0
    assert left(root) == {WEIGHTS.key, SFT.key, DPO.key}


def test_one_folder_without_records_prunes_nothing(capsys, root, tmp_path):
    record(tmp_path / "runs", SFT)
    (tmp_path / "empty").mkdir()
    status, _, err = run(capsys, root, "--unused-by", tmp_path / "runs", tmp_path / "empty")
    assert (status, err.endswith(f"no run.json below {tmp_path / 'empty'}; nothing is pruned\n")) == (2, True)
    assert len(left(root)) == 4


def test_conditions_hold_together(capsys, root, tmp_path):
    record(tmp_path / "runs", SFT)
    run(capsys, root, "--older-than", "25d", "--unused-by", tmp_path / "runs")
    assert left(root) == {WEIGHTS.key, SFT.key, DPO.key}


@pytest.mark.parametrize("content", [None, "{", '{"stages": 7}', "no record"])
def test_a_record_that_cannot_be_read_prunes_nothing(capsys, root, tmp_path, content):
    folder = tmp_path / "runs"
    folder.mkdir()
    if content != "no record" and content is not None:
        (folder / "run.json").write_text(content)
    status, out, err = run(capsys, root, "--unused-by", folder if content else tmp_path / "gone")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "nothing is pruned" in err
    assert len(left(root)) == 4


@pytest.mark.parametrize(("lock", "seconds"), [("flock", 60), ("lease", 60), ("lease", 3600)])
def test_pruning_leaves_alone_what_is_being_computed_whatever_the_lock(capsys, root, lock, seconds):
    stage = Stage("sft", {"rows": 10}, {})

    def work(folder):
        (folder / "half").write_text("half")
        assert run(capsys, root, "--older-than", "100d")[0] == 0

    result = Store(root, lock, lease_seconds=seconds).run(stage, work)
    assert (result.path / "half").read_text() == "half"


def test_pruning_removes_what_killed_runs_left(capsys, root):
    dead = root / ".partial" / f"{SFT.key}.1.elsewhere"
    dead.mkdir(parents=True)
    assert run(capsys, root, "--older-than", "100d")[0] == 0
    assert not dead.exists()


def test_an_age_is_a_number_with_a_unit(capsys, root):
    with pytest.raises(SystemExit):
        run(capsys, root, "--older-than", "soon")
    assert "'soon' is no age; say 30d, 12h or 45m" in capsys.readouterr().err
    assert len(left(root)) == 4


def test_a_store_that_is_not_there_is_empty(capsys, tmp_path):
    assert run(capsys, tmp_path / "none")[1].startswith("0 stages, 0 B stored; ")


def test_checkpoints_that_nobody_goes_on_with_are_listed_and_go(capsys, root):
    store = Store(root)
    folder = store.checkpoint_folder(Stage("sft", {"rows": 10}, {}))
    folder.mkdir(parents=True)
    (folder / "step_5").write_bytes(b"x" * 2_000_000)
    for path in (folder / "step_5", folder):
        os.utime(path, 2 * (time.time() - 3 * DAY,))
    assert "2.0 MB  checkpoints of an unfinished stage, written 3 d ago" in run(capsys, root)[1]
    assert run(capsys, root, "--older-than", "100d")[0] == 0
    assert folder.exists()
    assert run(capsys, root, "--older-than", "2d", "--dry-run")[0] == 0
    assert folder.exists()
    assert run(capsys, root, "--older-than", "2d")[0] == 0
    assert not folder.exists()


def test_what_a_stopped_run_goes_on_from_is_no_business_of_records(capsys, root, tmp_path):
    """A record holds no key of a stage that is not finished: hours of training would go without a word."""
    record(tmp_path / "runs", SFT)
    checkpoints = Store(root).checkpoint_folder(Stage("dpo", {"rows": 12}, {}))
    checkpoints.mkdir(parents=True)
    (checkpoints / "step_5").write_bytes(b"x" * 100)
    status, out, _ = run(capsys, root, "--unused-by", tmp_path / "runs")
    assert (status, "checkpoints of" in out) == (0, False)
    assert (checkpoints / "step_5").exists()


def test_checkpoints_of_a_stage_that_is_being_computed_stay(capsys, root):
    stage, store = Stage("sft", {"rows": 11}, {}), Store(root)

    def work(folder):
        checkpoints = store.checkpoint_folder(stage)
        checkpoints.mkdir(parents=True)
        assert "checkpoints of" not in run(capsys, root, "--older-than", "0m", "--dry-run")[1]
        assert "checkpoints of" not in run(capsys, root, "--older-than", "0m")[1]
        assert checkpoints.exists()

    store.run(stage, work)
