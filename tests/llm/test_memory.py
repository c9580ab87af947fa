import ctypes
import os
import subprocess
import sys

import pytest

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

    assert faults("keep()") < TENSORS / 4
    assert faults("pass") >= TENSORS
