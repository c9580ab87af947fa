"""A group of processes: what it reads, which of its lines are logged, and that it ends with its run."""

import json
import logging
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sprec.processes.torchrun import GroupError, TorchrunGroup, _run_logged, in_process
from sprec.store.stage import Stage

SFT = Stage("sft", {"rows": 8}, {"data": "d1"})


def speaking(*lines, status=0):
    return [sys.executable, "-c", f"import sys; print({chr(10).join(lines)!r}); sys.exit({status})"]


def test_one_process_does_the_work_itself(tmp_path):
    assert in_process(SFT, tmp_path.mkdir) == tmp_path.mkdir


def test_members_read_settings_stage_and_folder_from_a_file_that_does_not_stay(tmp_path, monkeypatch):
    tasks = []
    monkeypatch.setattr(
        "sprec.processes.torchrun._run_logged",
        lambda command: tasks.append(json.loads(Path(command[-1]).read_text())),
    )
    TorchrunGroup({"seed": 3}, devices=2)(SFT, None)(tmp_path)
    assert tasks == [{"settings": {"seed": 3}, "stage": SFT.key, "folder": str(tmp_path)}]
    assert list(tmp_path.iterdir()) == []


def test_one_machine_needs_no_other_command_and_several_start_one_on_each():
    task = Path("store/sft.1/.group.json")
    here, *_ = TorchrunGroup({}, devices=4, launch_command=["srun"]).command(task)
    assert here == sys.executable
    run_in_fork = TorchrunGroup({}, devices=4, nodes=2, launch_command=["srun", "--ntasks=2"]).command(task)
    assert run_in_fork[:3] == ["srun", "--ntasks=2", sys.executable]
    assert {"--nnodes=2", "--nproc-per-node=4", "--rdzv-id=sft.1"} <= set(run_in_fork)


def test_lines_for_people_reach_the_log_and_the_rest_does_not(caplog):
    with caplog.at_level(logging.INFO):
        _run_logged(speaking("noise", "sprec logs step 8 of 16"))
    assert caplog.messages == ["step 8 of 16"]


def test_the_first_reason_is_the_error_and_all_lines_go_with_it():
    with pytest.raises(GroupError, match="loss is nan") as caught:
        _run_logged(speaking("a trace", "sprec fails loss is nan at step 3", "sprec fails other", status=1))
    assert str(caught.value) == "loss is nan at step 3"
    assert "a trace" in caught.value.__notes__[0]


def test_a_group_that_was_killed_says_its_status():
    with pytest.raises(GroupError, match=r"was ended \(status -9\)"):
        _run_logged([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])


def test_a_missing_command_names_the_key():
    with pytest.raises(GroupError, match=r"trainer\.launch_command: no command 'no-such-srun' here"):
        _run_logged(["no-such-srun"])


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_group_ends_with_the_run_that_is_killed():
    child = "import os, signal; print('sprec logs', os.getpid(), flush=True); signal.pause()"
    parent = (
        "import logging, sys; from sprec.processes.torchrun import _run_logged;"
        "logging.basicConfig(level='INFO', stream=sys.stdout, format='%(message)s');"
        f"_run_logged([sys.executable, '-c', {child!r}])"
    )
    run = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    member = os.pidfd_open(int(run.stdout.readline()))
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert select.select([member], [], [], 30)[0] == [member]
    os.close(member)
