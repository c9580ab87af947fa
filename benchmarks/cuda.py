"""`python -m benchmarks.cuda [--shapes NAME] [--weights DIR]`: steps on one CUDA device, and their MFU."""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Step, Work
from benchmarks.ours import adamw, count_tokens, training_step
from benchmarks.setting import ALPHA, RANK
from benchmarks.shapes import SHAPES
from sprec.costs.flops import ModelShape, count_pass, forward_flops, training_flops
from sprec.data.prompts import Prompt
from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Greedy, write_titles
from sprec.llm.adapters import Lora
from sprec.llm.language_model import LanguageModel, silence_libraries
from sprec.llm.token_rows import TokenRow
from sprec.seeds import stream

DENSE = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}
"""FLOP per second in bfloat16 without sparsity, as the vendor's data sheets have them."""
STEPS = {"SFT step": (64, 0), "DPO step": (32, 1), "S-DPO step, 3 negatives": (16, 3)}
"""Rows and negatives."""
BATCH_TOKENS, EVAL_BATCH_TOKENS = 32_768, 131_072  # conf/trainer/gpu.yaml


@dataclass(frozen=True)
class TimedStep:
    """Tokens and necessary FLOPs per second of a step, and peak device memory in bytes (0 on a CPU)."""

    name: str
    tokens_per_second: float
    flops_per_second: float
    peak_bytes: int


def toy_rows(model: LanguageModel, count: int, negatives: int) -> list[TokenRow]:
    """Return rows of the toy dataset, repeated where it has too few, with random negatives."""
    dataset = toy_dataset()
    titles = dataset.catalog.titles
    examples = [list(dataset.split.train)[i % len(dataset.split.train)] for i in range(count)]
    negative_ids = stream(0, "bench", "cuda").integers(len(titles), size=(count, negatives)).tolist()
    return [
        model.encode(
            [titles[i] for i in example.history], [titles[example.target], *(titles[i] for i in negatives)]
        )
        for example, negatives in zip(examples, negative_ids, strict=True)
    ]


def time_step(model: LanguageModel, name: str, step: Step, flops: float, repeats: int) -> TimedStep:
    """Return the median over `repeats` steps, after one that warms up.

    Args:
        model: the model on the device that is timed.
        name: the row's name.
        step: takes one step.
        flops: necessary FLOPs of a step.
        repeats: number of timed steps.

    """
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step()
    timings = [_time_call(model.device, step) for _ in range(repeats)]
    seconds = median(elapsed for elapsed, _ in timings)
    peak = torch.cuda.max_memory_allocated() if model.device.type == "cuda" else 0
    return TimedStep(name, timings[0][1].tokens / seconds, flops / seconds, peak)


def _time_call(device: torch.device, step: Callable[[], Work]) -> tuple[float, Work]:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work = step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, work


def product_peak(device: torch.device, size: int) -> float:
    """Return the FLOP per second of a product of square bfloat16 matrices, the best of ten."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> Work:
        left @ right
        return Work(1, 0)

    multiply()
    return 2 * size**3 / min(_time_call(device, multiply)[0] for _ in range(10))


def time_all_steps(model: LanguageModel, repeats: int) -> list[TimedStep]:
    """Return SFT, DPO, S-DPO and title writing, timed."""
    shape = ModelShape.of(model.base_model.config, RANK)
    timed = []
    for name, (count, negatives) in STEPS.items():
        rows = toy_rows(model, count, negatives)
        step = training_step(
            model, rows, adamw(model), batch_tokens=BATCH_TOKENS, eval_batch_tokens=EVAL_BATCH_TOKENS
        )
        needed = count_pass(rows)
        flops = training_flops(shape, needed) + (forward_flops(shape, needed) if negatives else 0)
        timed.append(time_step(model, name, step, flops, repeats))
    return [*timed, _time_titles(model, shape, repeats)]


def _time_titles(model: LanguageModel, shape: ModelShape, repeats: int) -> TimedStep:
    rows = toy_rows(model, 256, 0)

    def write() -> Work:
        prompts = [row.prompt for row in rows]
        write_titles(model, prompts, Greedy(), np.random.default_rng(0), batch_tokens=EVAL_BATCH_TOKENS)
        return Work(len(rows), count_tokens(rows))

    return time_step(model, "self-play, 256 titles", write, forward_flops(shape, count_pass(rows)), repeats)


def speed_table(steps: list[TimedStep], title: str, peak: float, dense: float | None) -> Table:
    """Return the steps as a table; MFU is the share of the data sheet's speed, where that is known."""
    columns = ("row", "tokens/s", "TFLOP/s", "of measured peak", "MFU", "GB")
    table = Table(*columns, title=title)
    for step in steps:
        table.add_row(
            step.name,
            f"{step.tokens_per_second:.0f}",
            f"{step.flops_per_second / 1e12:.3g}",
            f"{step.flops_per_second / peak:.1%}",
            f"{step.flops_per_second / dense:.1%}" if dense else "",
            f"{step.peak_bytes / 1e9:.1f}",
        )
    return table


def main() -> None:
    """Console entry; without a CUDA device it says what it skips."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument(
        "--shapes", choices=SHAPES, default="llama3_2_1b", help="random weights of these shapes"
    )
    parser.add_argument("--weights", type=Path, help="folder of a base LLM, instead of random weights")
    parser.add_argument("--device", default="cuda", help="cpu runs the code where there is no CUDA device")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"skipped: CUDA rows of {args.weights or args.shapes}: no CUDA device here")
        return
    silence_libraries()
    with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
        model = _model(args, Path(place))
        if args.checkpointing:
            model.engine.checkpoint_activations()
        steps = time_all_steps(model, args.repeats)
    peak = product_peak(model.device, 8192 if model.device.type == "cuda" else 1024)
    name = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "CPU"
    dense = next((speed for device, speed in DENSE.items() if device in name), None)
    title = f"{name}, {args.weights or args.shapes}: products {peak / 1e12:.3g} TFLOP/s in bf16"
    console = Console()
    console.width = max(console.width, 120)
    console.print(speed_table(steps, title, peak, dense))


def _model(args: argparse.Namespace, place: Path) -> LanguageModel:
    """Return the model that the arguments name; random weights are written to `place`."""
    dataset, folder = toy_dataset(), args.weights or place
    prompt = Prompt(dataset.wording)
    if not args.weights:
        SHAPES[args.shapes].write(folder, [prompt.text(())] * 10 + list(dataset.catalog.titles))
    lora = Lora(rank=RANK, alpha=ALPHA, dropout=0.0)
    return LanguageModel(folder, prompt, lora=lora, device=args.device, cutoff_tokens=512, seed=0, bf16=True)


if __name__ == "__main__":
    main()
