import sys

import pytest
import torch

from benchmarks import cuda
from benchmarks.cuda import TimedStep, main, speed_table, toy_rows


def test_rows_have_the_target_and_so_many_negatives(make):
    rows = toy_rows(make(), 3, 2)
    assert [len(row.answers) for row in rows] == [3, 3, 3]
    assert rows[0].prompt != rows[1].prompt


def test_share_of_the_data_sheets_speed_is_left_out_where_it_is_not_known():
    timed = [TimedStep("SFT step", 10.0, 50e12, 2 * 10**9)]
    known, unknown = (speed_table(timed, "device", 100e12, dense) for dense in (200e12, None))
    assert [list(column.cells) for column in known.columns][2:] == [["50"], ["50.0%"], ["25.0%"], ["2.0"]]
    assert list(unknown.columns[4].cells) == [""]


@pytest.mark.long
def test_whole_command_on_small_shapes_without_cuda(monkeypatch, capsys):
    monkeypatch.setattr(cuda, "STEPS", {"SFT step": (3, 0), "DPO step": (2, 1)})
    arguments = ["--device", "cpu", "--shapes", "tiny", "--repeats", "1", "--checkpointing"]
    monkeypatch.setattr(sys, "argv", ["cuda", *arguments])
    main()
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("SFT step", "DPO step", "self-play, 256 titles"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_command_says_what_it_skips_without_a_device(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cuda"])
    main()
    assert capsys.readouterr().out == "skipped: CUDA rows of llama3_2_1b: no CUDA device here\n"
