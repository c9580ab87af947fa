"""The machine that a benchmark ran on, and the speed of its matrix products."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sprec.llm.precision import has_bf16
from sprec.records.provenance import Provenance

SIZES = ((1024, 1024, 1024), (2048, 2048, 2048), (1536, 576, 1536), (2048, 1536, 576), (512, 576, 49152))
"""Products of (rows × inner) by (inner × columns): square ones and those of SmolLM2-135M."""


@dataclass(frozen=True)
class Machine:
    """What figures depend on; peaks are FLOP per second of the best product among `SIZES`."""

    processor: str
    cores: int
    threads: int
    memory_bytes: int
    python: str
    provenance: Provenance
    peak_bf16: float
    peak_float32: float


def machine(threads: int) -> Machine:
    """Return the machine, its products measured with so many threads; takes some seconds."""
    torch.set_num_threads(threads)
    return Machine(
        processor(),
        len(os.sched_getaffinity(0)),
        threads,
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        platform.python_version(),
        read_provenance(),
        peak(torch.bfloat16, SIZES if has_bf16("cpu") else SIZES[:1]),  # in software a product takes seconds
        peak(torch.float32),
    )


def processor() -> str:
    """Return the processor's name as the system gives it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak(dtype: torch.dtype, sizes: Sequence[tuple[int, int, int]] = SIZES, *, seconds: float = 0.5) -> float:
    """Return the FLOP per second of the fastest of these products, each repeated for some time."""
    return max(_speed(dtype, size, seconds) for size in sizes)


def _speed(dtype: torch.dtype, size: tuple[int, int, int], seconds: float) -> float:
    rows, inner, columns = size
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    left @ right.T
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        left @ right.T
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best
