import ctypes
import subprocess
import sys

import pytest

CODE = """
import resource
import torch
from sprec.llm.memory import keep
KEEP
def pages():
    tensors = [torch.ones(2**20) for _ in range(64)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del tensors
    tensors = [torch.ones(2**20) for _ in range(64)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_memory_that_is_freed_serves_again_without_a_page_being_made():
    """64 tensors of 4 MB are 65,536 pages."""

    def faults(call):
        code = CODE.replace("KEEP", call)
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return int(told.stdout)

    assert faults("keep()") < 100 < 10_000 < faults("pass")
