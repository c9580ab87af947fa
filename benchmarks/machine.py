"""The machine that a benchmark runs on, and the speed of its matrix products."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sprec.llm.precision import has_bf16
from sprec.records.provenance import Provenance, read_provenance

PRODUCT_SIZES = (
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (1536, 576, 1536),
    (2048, 1536, 576),
    (512, 576, 49152),
)
"""(rows, inner, columns) of products: square ones and those of SmolLM2-135M."""


@dataclass(frozen=True)
class Machine:
    """What figures depend on; peaks are FLOP per second of the fastest product among `PRODUCT_SIZES`."""

    processor: str
    cores: int
    threads: int
    memory_bytes: int
    python: str
    provenance: Provenance
    peak_bf16: float
    peak_float32: float


def describe_machine(threads: int) -> Machine:
    """Return the machine, with its products measured on so many threads; takes a few seconds."""
    torch.set_num_threads(threads)
    return Machine(
        processor_name(),
        len(os.sched_getaffinity(0)),
        threads,
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        platform.python_version(),
        read_provenance(),
        # Without bfloat16 units one product takes seconds, so only the smallest is measured.
        peak_flops(torch.bfloat16, PRODUCT_SIZES if has_bf16("cpu") else PRODUCT_SIZES[:1]),
        peak_flops(torch.float32),
    )


def processor_name() -> str:
    """Return the name of the processor as the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_flops(
    dtype: torch.dtype, sizes: Sequence[tuple[int, int, int]] = PRODUCT_SIZES, *, seconds: float = 0.5
) -> float:
    """Return the FLOP per second of the fastest of these products, each repeated for `seconds`."""
    return max(_product_flops(dtype, size, seconds) for size in sizes)


def _product_flops(dtype: torch.dtype, size: tuple[int, int, int], seconds: float) -> float:
    rows, inner, columns = size
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    left @ right.T  # the first product also allocates and builds code
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        left @ right.T
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best
