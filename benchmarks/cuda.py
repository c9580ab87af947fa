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
from benchmarks.ours import adamw, training_step, width
from benchmarks.setting import ALPHA, RANK
from benchmarks.shapes import SHAPES
from sprec.costs.flops import ModelShape, count_pass, forward_flops, training_flops
from sprec.data.prompts import Prompt
from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Greedy, complete
from sprec.llm.language_model import LanguageModel, Lora, silence_libraries
from sprec.llm.token_rows import TokenRow
from sprec.seeds import stream

DENSE = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}
"""FLOP per second in bfloat16 without sparsity, as the vendor's data sheets have them."""
STEPS = {"SFT step": (64, 0), "DPO step": (32, 1), "S-DPO step, 3 negatives": (16, 3)}
"""Rows and negatives."""
BATCH_TOKENS, EVAL_BATCH_TOKENS = 32_768, 131_072  # conf/trainer/gpu.yaml


@dataclass(frozen=True)
class Timed:
    """A row: tokens and necessary FLOPs per second, and the memory of the device in bytes (0 on a CPU)."""

    name: str
    tokens_per_second: float
    flops_per_second: float
    peak_bytes: int


def rows(model: LanguageModel, count: int, negatives: int) -> list[TokenRow]:
    """Return rows of the toy dataset, from its first again where it has too few, negatives drawn by name."""
    dataset = toy_dataset()
    titles = dataset.catalog.titles
    examples = [list(dataset.split.train)[i % len(dataset.split.train)] for i in range(count)]
    drawn = stream(0, "bench", "cuda").integers(len(titles), size=(count, negatives)).tolist()
    return [
        model.encode([titles[i] for i in each.history], [titles[each.target], *(titles[i] for i in others)])
        for each, others in zip(examples, drawn, strict=True)
    ]


def measured(model: LanguageModel, name: str, step: Step, flops: float, repeats: int) -> Timed:
    """Return the median of some steps after one that warms up."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step()
    timed = [_seconds(model.device, step) for _ in range(repeats)]
    seconds = median(each for each, _ in timed)
    peak = torch.cuda.max_memory_allocated() if model.device.type == "cuda" else 0
    return Timed(name, timed[0][1].tokens / seconds, flops / seconds, peak)


def _seconds(device: torch.device, step: Callable[[], Work]) -> tuple[float, Work]:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work = step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, work


def product_peak(device: torch.device, size: int) -> float:
    """Return the FLOP per second of a product of square bfloat16 matrices, the best of some."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> Work:
        left @ right
        return Work(1, 0)

    multiply()
    return 2 * size**3 / min(_seconds(device, multiply)[0] for _ in range(10))


def run(model: LanguageModel, repeats: int) -> list[Timed]:
    """Return all rows for a model."""
    shape = ModelShape.of(model.base_model.config, RANK)
    found = []
    for name, (count, negatives) in STEPS.items():
        asked = rows(model, count, negatives)
        step = training_step(
            model, asked, adamw(model), batch_tokens=BATCH_TOKENS, eval_batch_tokens=EVAL_BATCH_TOKENS
        )
        needed = count_pass(asked)
        flops = training_flops(shape, needed) + (forward_flops(shape, needed) if negatives else 0)
        found.append(measured(model, name, step, flops, repeats))
    return [*found, _titles(model, shape, repeats)]


def _titles(model: LanguageModel, shape: ModelShape, repeats: int) -> Timed:
    asked = rows(model, 256, 0)

    def write() -> Work:
        prompts = [row.prompt for row in asked]
        complete(model, prompts, Greedy(), np.random.default_rng(0), batch_tokens=EVAL_BATCH_TOKENS)
        return Work(len(asked), width(asked))

    return measured(model, "self-play, 256 titles", write, forward_flops(shape, count_pass(asked)), repeats)


def table(found: list[Timed], title: str, peak: float, dense: float | None) -> Table:
    """Return the rows as a table; MFU is the share of the data sheet's speed, where it is known."""
    columns = ("row", "tokens/s", "TFLOP/s", "of measured peak", "MFU", "GB")
    shown = Table(*columns, title=title)
    for each in found:
        shown.add_row(
            each.name,
            f"{each.tokens_per_second:.0f}",
            f"{each.flops_per_second / 1e12:.3g}",
            f"{each.flops_per_second / peak:.1%}",
            f"{each.flops_per_second / dense:.1%}" if dense else "",
            f"{each.peak_bytes / 1e9:.1f}",
        )
    return shown


def main() -> None:
    """Console entry; without a CUDA device it says what is skipped."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument(
        "--shapes", choices=SHAPES, default="llama3_2_1b", help="random weights of these shapes"
    )
    parser.add_argument("--weights", type=Path, help="folder of a base LLM in place of random weights")
    parser.add_argument("--device", default="cuda", help="cpu tries the code where there is no CUDA")
    parser.add_argument("--checkpointing", action="store_true", help="compute activations again")
    parser.add_argument("--compile", action="store_true", help="compile elementwise pieces")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"skipped: CUDA rows of {given.weights or given.shapes}: no CUDA device here")
        return
    silence_libraries()
    with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
        model = _model(given, Path(place))
        if given.checkpointing:
            model.checkpoint_activations()
        found = run(model, given.repeats)
    peak = product_peak(model.device, 8192 if model.device.type == "cuda" else 1024)
    name = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "CPU"
    dense = next((speed for part, speed in DENSE.items() if part in name), None)
    title = f"{name}, {given.weights or given.shapes}: products {peak / 1e12:.3g} TFLOP/s in bf16"
    console = Console()
    console.width = max(console.width, 120)
    console.print(table(found, title, peak, dense))


def _model(given: argparse.Namespace, place: Path) -> LanguageModel:
    """Return the model that the arguments name; random weights are written to `place`."""
    dataset, folder = toy_dataset(), given.weights or place
    prompt = Prompt(dataset.wording)
    if not given.weights:
        SHAPES[given.shapes].write(folder, [prompt.text(())] * 10 + list(dataset.catalog.titles))
    lora = Lora(rank=RANK, alpha=ALPHA, dropout=0.0)
    formats = {"bf16": True, "fused": given.compile}
    return LanguageModel(folder, prompt, lora=lora, device=given.device, cutoff_tokens=512, seed=0, **formats)


if __name__ == "__main__":
    main()
