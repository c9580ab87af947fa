"""How fast the machine is, by three short measurements: products, memory, and calls of small operations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from sprec.costs.flops import ModelShape

ROWS = {"cpu": 256, "cuda": 8192}
"""Tokens of the measured product: few enough on a CPU to end within a time slice of a busy machine."""
STREAM_BYTES = 2**24
CALLS = 1000
SCALING, FEW_THREADS = 0.8, 8
"""Up to so many threads each reach at least this share of what one reaches alone on an idle machine."""


@dataclass(frozen=True)
class MachineSpeed:
    """FLOP per second of products in numbers of `width` bytes, bytes per second, seconds of one small call.

    `devices` share the rows evenly; their communication is not counted, because adapters are small.
    """

    flops: float
    bytes_per_second: float
    call_seconds: float
    width: int
    devices: int = 1


def measure_speed(
    shape: ModelShape, device: str, *, bf16: bool, devices: int = 1, seconds: float = 0.3
) -> MachineSpeed:
    """Return the speed of the machine alone, measured for six times `seconds` with torch's threads.

    The product is that of the model's inner projection.
    """
    # The best of many short repetitions is what a thread does alone, even on a busy machine. Several threads
    # wait for each other there, so the speed of one, scaled, is a lower bound of what they reach.
    threads = torch.get_num_threads()
    speed = _measure(shape, device, bf16=bf16, seconds=seconds)
    if threads > 1 and device == "cpu":
        torch.set_num_threads(1)
        try:
            one_thread = _measure(shape, device, bf16=bf16, seconds=seconds)
        finally:
            torch.set_num_threads(threads)
        scale = max(SCALING * threads, 1.0) if threads <= FEW_THREADS else 1.0
        speed = fastest(speed, replace(one_thread, flops=scale * one_thread.flops))
    return replace(speed, devices=devices)


def _measure(shape: ModelShape, device: str, *, bf16: bool, seconds: float) -> MachineSpeed:
    """Return the speed of the best repetition of each."""
    dtype, rows = torch.bfloat16 if bf16 else torch.float32, ROWS[torch.device(device).type]
    left, right, one, two, small = (
        torch.randn(size, device=device).to(dtype)
        for size in (
            *((rows, shape.hidden), (shape.inner, shape.hidden)),
            *((STREAM_BYTES // dtype.itemsize,),) * 2,
            (1,),
        )
    )
    out = torch.empty_like(one)

    def calls() -> None:
        """Add two numbers many times."""
        for _ in range(CALLS):
            small + small

    product = _best(lambda: left @ right.T, device, seconds)
    stream = _best(lambda: torch.add(one, two, out=out), device, seconds)
    return MachineSpeed(
        flops=2 * rows * shape.hidden * shape.inner / product,
        bytes_per_second=3 * STREAM_BYTES / stream,  # two arrays are read and one is written
        call_seconds=_best(calls, device, seconds) / CALLS,
        width=dtype.itemsize,
    )


def fastest(one: MachineSpeed, other: MachineSpeed) -> MachineSpeed:
    """Return the better of each measurement: what the machine does when nothing else runs on it."""
    return replace(
        one,
        flops=max(one.flops, other.flops),
        bytes_per_second=max(one.bytes_per_second, other.bytes_per_second),
        call_seconds=min(one.call_seconds, other.call_seconds),
    )


def _best(work: Callable[[], object], device: str, seconds: float) -> float:
    """Return the seconds of the fastest repetition after a first one that does not count."""
    work()
    shortest = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
