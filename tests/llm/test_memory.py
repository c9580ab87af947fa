import ctypes
import os
import subprocess
import sys

import pytest
import torch

from sprec.llm import memory
from sprec.llm.packed import gains

MAPPED = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""glibc then maps each larger tensor by itself and unmaps it when it is freed, whatever lies around it."""
TENSORS = 256
CODE = f"""
import resource
import torch
from sprec.llm.memory import keep
KEEP
def pages():
    tensors = [torch.ones(2**18) for _ in range({TENSORS})]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del tensors
    tensors = [torch.ones(2**18) for _ in range({TENSORS})]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_memory_that_is_freed_serves_again_without_a_page_being_made():
    """256 tensors of 1 MB are 65,536 pages of 4 kB; of huge pages, each map has one at least."""

    def faults(call):
        command = [sys.executable, "-c", CODE.replace("KEEP", call)]
        environment = {**os.environ, **MAPPED}
        told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return int(told.stdout)

    without = faults("pass")
    assert without >= TENSORS
    assert faults("keep()") < without / 4  # none, as a rule; one for each tensor was seen once, of 257


SHAPES = 300
HELD = f"""
from pathlib import Path
import torch
from sprec.llm.memory import bound
from sprec.llm.packed import Packed
BOUND
layer, inputs = Packed(torch.ones(64, 64), None), torch.ones(1000, 64)
def held(lengths):
    for length in lengths:
        layer(inputs[:length])
    return int(Path("/proc/self/statm").read_text().split()[1])
before = held(range(1, 100))
print(held(range(100, 100 + {SHAPES})) - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no /proc/self/statm")
@pytest.mark.skipif(not gains(torch.ones(1)), reason="products are not oneDNN's here")
def test_products_of_many_shapes_hold_no_memory():
    """Unbounded, each shape held 530 kB, 130 pages; here it may be 25 at most, and 100 at least."""

    def pages(call):
        names = {name: value for name, value in os.environ.items() if name not in memory.CAPACITIES}
        command = [sys.executable, "-c", HELD.replace("BOUND", call)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True, env=names).stdout)

    assert pages("bound()") < 25 * SHAPES
    assert pages("pass") > 100 * SHAPES


def test_a_bound_that_the_user_sets_stays(monkeypatch):
    first, second = memory.CAPACITIES
    monkeypatch.setattr(os, "environ", {first: "7"})
    memory.bound()
    assert os.environ == {first: "7", second: str(memory.SHAPES)}
