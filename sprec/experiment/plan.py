"""What a command would run, what is stored, and what the rest will cost on this machine (`+plan=true`)."""

import json
import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import transformers
from rich.console import Console

from sprec.algorithm import BaselineAlgorithm
from sprec.caches import cache_home
from sprec.costs.cost_estimator import CostEstimator, CostModel, PlannedStage
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed, fastest, measure_speed
from sprec.costs.pass_costs import NO_COST, Cost
from sprec.experiment.build import Components
from sprec.experiment.config import Settings
from sprec.experiment.prepare import build_prompt, build_row_sampling, store_base_model
from sprec.llm.tokenization import PromptTokenizer
from sprec.progress import format_seconds
from sprec.records.from_json import decode_json
from sprec.store.atomic_files import write_atomically
from sprec.training.context import ModelState, StageContext, TestSetup

SPEED_PROFILE = "speed.json"
"""The file of the cache folder with the best speeds measured on each machine."""
log = logging.getLogger(__name__)


def show_plan(
    components: Components,
    settings: Settings,
    context: StageContext,
    base: ModelState,
    test: TestSetup,
    console: Console,
) -> None:
    """Print a line for each stage, the sums, and the speed that the estimates are made from.

    Args:
        components: objects of the run.
        settings: what they were built from.
        context: what the stages share.
        base: the untuned model.
        test: which rows are ranked, and how.
        console: where the lines go.
    """
    has_llm = not isinstance(components.method, BaselineAlgorithm)
    cost_model = _measure_costs(components, settings, context) if has_llm else None
    stages = CostEstimator(context, components.store, build_row_sampling(settings), model=cost_model)
    for _ in components.method.train_and_rank(stages, base, test):
        pass
    lines = [_stage_line(stage) for stage in stages.planned]
    if cost_model:
        lines += _sum_lines(stages.planned, cost_model.speed, settings)
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


def _measure_costs(components: Components, settings: Settings, context: StageContext) -> CostModel | None:
    """Return text lengths and machine speed, or None after one line if the base LLM cannot be loaded."""
    llm, dataset = settings.base_llm, context.dataset
    try:
        folder = store_base_model(components, dataset)
    except (ValueError, OSError) as error:
        log.warning("no estimates: %s", " ".join(str(error).split()))
        return None
    prompt = build_prompt(components, dataset, folder, llm.name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = PromptTokenizer(tokenizer, prompt, cutoff_tokens=llm.cutoff_tokens)
    shape = ModelShape.of(transformers.AutoConfig.from_pretrained(folder), llm.lora.rank)
    bf16 = components.precision.bf16
    speed = measure_speed(shape, components.device, bf16=bf16)
    machine = f"{platform.node()}, {components.device}, {settings.trainer.cpu_threads} threads"
    sizes = f"{shape.hidden} × {shape.inner}, {8 * speed.width} bits"
    speed = update_speed_profile(cache_home() / SPEED_PROFILE, f"{machine}: {sizes}", speed)
    return CostModel(
        tokens,
        shape,
        speed,
        settings.trainer.world_size,
        checkpointing=settings.trainer.checkpointing,
        answers_apart=context.engine.get("engine") == "plain",
    )


def update_speed_profile(file: Path, name: str, speed: MachineSpeed) -> MachineSpeed:
    """Return the best of this measurement and earlier ones of the name, and write it to the profile `file`.

    So a machine that is busy now is judged by its idle speed. A profile that cannot be read counts as empty;
    one that cannot be written is left alone.
    """
    try:
        profile = json.loads(file.read_text(encoding="utf-8"))
        speed = fastest(speed, decode_json(MachineSpeed, profile[name])) if name in profile else speed
    except (OSError, ValueError, TypeError):
        profile = {}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({**profile, name: asdict(speed)}, indent=2) + "\n")
    except OSError as error:
        log.warning("%s is not written: %s", file, error.strerror)
    return speed


def _stage_line(stage: PlannedStage) -> str:
    state = "to run" if stage.seconds is None else "stored"
    took = "" if stage.seconds is None else f"took {format_seconds(stage.seconds)}"
    return f"{state:8}{stage.label:28}{_format_cost(stage.cost)}{took:16}{stage.key}"


def _format_cost(cost: Cost | None) -> str:
    if cost is None:
        return f"{'':37}"
    flops, memory = format_scaled(cost.flops, "FLOP"), format_scaled(cost.bytes, "B")
    return f"{flops:>12}{memory:>10}{format_seconds(cost.seconds):>12}   "


def _sum_lines(stages: Sequence[PlannedStage], speed: MachineSpeed, settings: Settings) -> list[str]:
    """Return the lines below the stages: what is left to run, everything, and what was measured."""
    everything = sum((stage.cost for stage in stages if stage.cost), NO_COST)
    left = sum((stage.cost for stage in stages if stage.cost and stage.seconds is None), NO_COST)
    incomplete = ", those without an estimate left out" if any(stage.cost is None for stage in stages) else ""
    products = f"products {format_scaled(speed.flops, 'FLOP')}/s in {8 * speed.width} bits"
    memory = f"memory {format_scaled(speed.bytes_per_second, 'B')}/s"
    call = f"a small call {1e6 * speed.call_seconds:.1f} µs"
    threads = settings.trainer.cpu_threads
    return [
        f"{'':8}{'all that is to run':28}{_format_cost(left)}",
        f"{'':8}{'all stages':28}{_format_cost(everything)}",
        f"measured with {threads} threads: {products}, {memory}, {call}{incomplete}",
    ]


def format_scaled(value: float, unit: str) -> str:
    """Return three digits with a prefix.

    >>> format_scaled(1.234e15, "FLOP"), format_scaled(0, "B")
    ('1.23 PFLOP', '0 B')
    """
    steps = 0
    while value >= 1000 and steps < 6:
        value, steps = value / 1000, steps + 1
    return f"{value:.3g} {' kMGTPE'[steps].strip()}{unit}"
