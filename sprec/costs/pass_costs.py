"""What passes of the model cost: operations, bytes and seconds, before anything runs.

    seconds = FLOPs / (SHARE · peak) + bytes / bandwidth + calls · seconds per call

FLOPs are the necessary ones of `sprec.costs.flops`. Bytes are what moves through memory beside the products:
activations, attention scores, logits, weights, and the cache while titles are written. Peak, bandwidth and
the seconds of a call are measured (`machine_speed`). The constants below were fitted on two AMD EPYC cores
to training, forward and decoding passes of SmolLM2-135M (bfloat16, rank 16) and of `base_llm=tiny`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sprec.costs.flops import ModelShape, PassSize, count_pass, forward_flops, training_flops
from sprec.costs.machine_speed import MachineSpeed
from sprec.llm.token_rows import TokenRow

SHARE = 0.68
"""Share of the measured peak that a pass reaches: many of its products are smaller, or transposed."""
STREAMS, SCORES, LOGIT_BYTES = 10, 8, 20
"""How often a pass moves hidden and inner activations and attention scores; bytes moved per logit."""
GRADIENT = 3
"""A pass with gradients moves as much, and calls as often, as so many passes without."""
CALLS = 450
"""The calls of one layer's forward pass in float32 take as long as so many small additions."""
CASTS = {2: 2, 4: 1}
"""Factor on the calls by the width of numbers in bytes: 16-bit numbers are cast."""
FEWEST = 16
"""Rows below which a product with the weights takes no less time."""
CACHE = 6
"""How often keys and values move for each token written: joined with the new one, and read."""
OPTIMISER_BYTES = 28
"""Moved by AdamW per tuned weight and step: weight, gradient and two moments in float32, read or written."""


@dataclass(frozen=True)
class Cost:
    """FLOPs and bytes over all devices, seconds on the clock."""

    flops: float
    bytes: float
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes, self.seconds + other.seconds)

    def __mul__(self, times: float) -> "Cost":
        return Cost(self.flops * times, self.bytes * times, self.seconds * times)


NO_COST = Cost(0.0, 0.0, 0.0)


def timed(seconds: float) -> Cost:
    """Return a cost of seconds alone."""
    return Cost(0.0, 0.0, seconds)


def forward_pass(shape: ModelShape, rows: Sequence[TokenRow], speed: MachineSpeed) -> Cost:
    """Return the cost of one pass without gradients over these rows."""
    size = count_pass(rows)
    moved = _moved(shape, size, speed) + speed.width * (shape.weights + shape.words)
    return _timed(forward_flops(shape, size), moved, CALLS * shape.layers, speed)


def training_pass(shape: ModelShape, rows: Sequence[TokenRow], speed: MachineSpeed) -> Cost:
    """Return the cost of one pass with gradients over these rows."""
    size = count_pass(rows)
    moved = GRADIENT * _moved(shape, size, speed) + 2 * speed.width * (shape.weights + shape.words)
    return _timed(training_flops(shape, size), moved, GRADIENT * CALLS * shape.layers, speed)


def optimizer_step(shape: ModelShape, speed: MachineSpeed) -> Cost:
    """Return the cost of an optimiser step beside its passes."""
    return _timed(0, OPTIMISER_BYTES * shape.tuned, 0, speed)


def write_titles(
    shape: ModelShape,
    prompts: Sequence[Sequence[int]],
    lengths: Sequence[int],
    speed: MachineSpeed,
    *,
    beams: int = 1,
) -> Cost:
    """Return the cost of reading prompts in one pass and writing `beams` titles of these lengths to each.

    Rows leave the batch when they are done; a step reads all weights once. The bookkeeping of beam search is
    not counted.
    """
    written, steps = beams * sum(lengths), max(lengths)
    cached_tokens = [beams * length * len(prompt) for prompt, length in zip(prompts, lengths, strict=True)]
    attention = 4 * shape.layers * shape.heads * shape.head_size * sum(cached_tokens)
    flops = 2 * (shape.weights + shape.words) * written + attention
    idle = 2 * (shape.weights + shape.words) * max(FEWEST * steps - written, 0)
    moved = speed.width * (steps * (shape.weights + shape.words) + CACHE * shape.cached * sum(cached_tokens))
    moved += LOGIT_BYTES * written * shape.vocabulary
    start = forward_pass(shape, [TokenRow(tuple(prompt), ((0,),)) for prompt in prompts], speed)
    return start + _timed(flops, moved, steps * CALLS * shape.layers, speed, idle=idle)


def _moved(shape: ModelShape, size: PassSize, speed: MachineSpeed) -> float:
    """Return the bytes of activations, scores and logits of a pass without gradients."""
    streams = STREAMS * shape.layers * size.tokens * (shape.hidden + shape.inner)
    scores = SCORES * shape.layers * shape.heads * size.pairs
    return speed.width * (streams + scores) + LOGIT_BYTES * size.predicted * shape.vocabulary


def _timed(flops: float, moved: float, calls: float, speed: MachineSpeed, *, idle: float = 0.0) -> Cost:
    """Return the cost; `idle` operations take time and are not counted as necessary."""
    seconds = (flops + idle) / (SHARE * speed.flops) + moved / speed.bytes_per_second
    seconds += calls * CASTS[speed.width] * speed.call_seconds
    return Cost(flops, moved, seconds / speed.devices)
