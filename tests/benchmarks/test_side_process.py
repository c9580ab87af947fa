from functools import partial

import pytest

from benchmarks.measure import Work
from benchmarks.side_process import SideProcess


def counting(units):
    return partial(Work, units, 2 * units, seconds=0.5)


def failing():
    raise ValueError("no such trainer")


def test_side_steps_in_a_process_of_its_own():
    with SideProcess(partial(counting, 8), threads=1) as side:
        sample = side.step()
    assert (sample.work.units, sample.work.tokens, sample.rate) == (8, 16, 16.0)
    assert sample.peak_bytes > 1_000_000


def test_side_that_cannot_start_says_why():
    with pytest.raises(RuntimeError, match="no such trainer"):
        SideProcess(failing, threads=1)
