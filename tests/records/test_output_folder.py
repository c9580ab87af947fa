"""One folder, one run: who may write where, and what is left of a run that had no record yet."""

import json
import subprocess
import sys

import pytest

from sprec.records.output_folder import (
    CLAIM_FILE,
    Claim,
    FolderInUseError,
    claim_folder,
    drawn_rows_seed,
    find_unrecorded,
    free_folder,
    fresh_command,
    make_free_folder,
    refuse_other_record,
)

CLAIM = Claim("python -m sprec.run seed=1", "2026-11-28T10:00:00+00:00", "sweep-a", ("seed=1",))


def record(folder, status, **config):
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"status": status, "config": config}))


def test_runs_of_one_second_get_folders_of_their_own(tmp_path):
    names = [make_free_folder(tmp_path / "day" / "12-00-00").name for _ in range(3)]
    assert names == ["12-00-00", "12-00-00-2", "12-00-00-3"]


def test_eight_processes_that_start_at_once_share_no_folder(tmp_path):
    code = "import sys; from pathlib import Path; from sprec.records.output_folder import make_free_folder;"
    code += "sys.stdin.readline(); print(make_free_folder(Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(8)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    folders = [process.communicate()[0].strip() for process in processes]
    assert len(set(folders)) == 8
    assert all((tmp_path / folder).is_dir() for folder in folders)


def test_a_record_is_written_over_by_its_own_unfinished_run_alone(tmp_path):
    folder = tmp_path / "run"
    refuse_other_record(folder, {"seed": 1})
    for status in ("running", "failed"):
        record(folder, status, seed=1, cutoffs=[1, 5], rows_seed_drawn=7)
        refuse_other_record(folder, {"seed": 1, "cutoffs": (1, 5)})
        with pytest.raises(
            FolderInUseError, match=r"another run's record; choose .*hydra\.run\.dir=.*run-2$"
        ):
            refuse_other_record(folder, {"seed": 2, "cutoffs": (1, 5)})
    record(folder, "finished", seed=1)
    with pytest.raises(FolderInUseError, match="this run's finished record"):
        refuse_other_record(folder, {"seed": 1})
    (folder / "run.json").write_text("{broken")
    with pytest.raises(FolderInUseError, match="another run's record"):
        refuse_other_record(folder, {"seed": 1})


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path):
    with claim_folder(tmp_path, CLAIM):
        with (
            pytest.raises(FolderInUseError, match="another run is writing to"),
            claim_folder(tmp_path, CLAIM),
        ):
            pass
        record(tmp_path, "finished")
    with claim_folder(tmp_path, CLAIM):
        pass


def test_a_run_that_ended_before_its_record_leaves_error_and_command(tmp_path):
    with pytest.raises(ValueError, match="empty"), claim_folder(tmp_path / "0", CLAIM):
        raise ValueError("train split\nis empty, api_key=abc")
    ((folder, claim),) = find_unrecorded([tmp_path])
    assert (folder, claim.command, claim.sweep) == (tmp_path / "0", CLAIM.command, "sweep-a")
    assert claim.error == "train split is empty, api_key=***"
    record(tmp_path / "0", "failed")
    assert find_unrecorded([tmp_path]) == []


def test_a_plan_leaves_no_claim_and_a_damaged_one_is_no_run(tmp_path):
    with claim_folder(tmp_path / "plan", CLAIM):
        pass
    assert not (tmp_path / "plan" / CLAIM_FILE).exists()
    (tmp_path / "plan" / CLAIM_FILE).write_text("[]")
    assert find_unrecorded([tmp_path, tmp_path / "gone"]) == []


def test_a_printed_command_names_a_free_folder(tmp_path):
    own = tmp_path / "sweep" / "0"
    record(own.parent, "finished")
    record(own, "finished")
    command = f"python -m sprec.run 'a=b c' hydra.run.dir={own}"
    assert fresh_command(command) == f"python -m sprec.run 'a=b c' hydra.run.dir={own}-2"
    assert fresh_command(command, "sft-1").endswith(f"hydra.run.dir={own.with_name('sft-1')}")
    assert free_folder(own.with_name("new")) == own.with_name("new")
    assert fresh_command("python -m sprec.run seed=1") == "python -m sprec.run seed=1"
    assert fresh_command("python it's") == "python it's"


def test_a_strangers_claim_cannot_act_on_the_terminal(tmp_path):
    (tmp_path / CLAIM_FILE).write_text(json.dumps({"command": "a\x1b[2Jb", "error": "c\x1b]0;d"}))
    ((_, claim),) = find_unrecorded([tmp_path])
    assert "\x1b" not in claim.command + claim.error


def test_a_claim_of_an_older_version_is_read_without_its_secrets(tmp_path):
    text = {"command": "sprec api_key=abc", "error": "https://me:abc@host", "choices": ["x.token=a b"]}
    (tmp_path / CLAIM_FILE).write_text(json.dumps(text))
    ((_, claim),) = find_unrecorded([tmp_path])
    assert (claim.command, claim.error) == ("sprec api_key=***", "https://***@host")
    assert claim.choices == ("x.token=***",)


def test_an_unfinished_run_goes_on_with_the_seed_that_it_drew(tmp_path):
    folder = tmp_path / "run"
    assert drawn_rows_seed(folder) is None
    record(folder, "failed", seed=1, rows_seed_drawn=7)
    assert drawn_rows_seed(folder) == 7
    record(folder, "finished", seed=1, rows_seed_drawn=7)
    assert drawn_rows_seed(folder) is None
