"""What a command would run, what is stored, and what the rest will cost on this machine (`+plan=true`)."""

import json
import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from sprec.algorithm import BaselineAlgorithm
from sprec.costs.cost_estimator import CostEstimator, CostModel, PlannedStage
from sprec.costs.machine_speed import MachineSpeed, fastest, measure_speed
from sprec.costs.pass_costs import NO_COST, Cost
from sprec.costs.row_tokenizer import RowTokenizer
from sprec.data.download.sources import home
from sprec.experiment.build import Built, base_folder, prompt, sizes, threads
from sprec.experiment.config import Settings
from sprec.records.from_json import decode_json
from sprec.store.atomic_files import write_atomically
from sprec.training.context import ModelState, StageContext, TestSetup

PROFILE = "speed.json"
"""Where the cache folder keeps the best speeds that were measured on a machine."""
log = logging.getLogger(__name__)


def show(
    built: Built,
    settings: Settings,
    engine: StageContext,
    base: ModelState,
    test: TestSetup,
    console: Console,
) -> None:
    """Print a line for each stage, the sums, and the speed that the estimates start from."""
    gauge = None if isinstance(built.method, BaselineAlgorithm) else _gauge(built, settings, engine)
    stages = CostEstimator(engine, built.store, sizes(settings), gauge=gauge)
    for _ in built.method.evaluations(stages, base, test):
        pass
    lines = [*map(_line, stages.planned), *(_sums(stages.planned, gauge.speed, settings) if gauge else ())]
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


def _gauge(built: Built, settings: Settings, engine: StageContext) -> CostModel | None:
    """Return lengths and speed, or None after one line where the base LLM cannot be had."""
    llm = settings.base_llm
    try:
        folder = base_folder(built, engine.dataset)
    except (ValueError, OSError) as error:
        log.warning("no estimates: %s", " ".join(str(error).split()))
        return None
    tokens = RowTokenizer(
        folder,
        prompt(built, engine.dataset, folder, llm.name),
        cutoff_tokens=llm.cutoff_tokens,
        rank=llm.lora.rank,
    )
    half, devices = built.precision.bf16 and llm.lora.rank > 0, int(engine.trainer.get("devices", 1))
    speed = measure_speed(tokens.shape, built.device, bf16=half, devices=devices)
    sizes = f"{tokens.shape.hidden} × {tokens.shape.inner}, {8 * speed.width} bits"
    place = f"{platform.node()}, {built.device}, {threads(settings)} threads"
    return CostModel(tokens, remembered(home() / PROFILE, f"{place}: {sizes}", speed))


def remembered(file: Path, name: str, speed: MachineSpeed) -> MachineSpeed:
    """Return the best of this measurement and earlier ones of the name, and write it to the profile `file`.

    A machine that is busy now is priced as it was when it was not. A profile that cannot be read counts as
    empty, and one that cannot be written stays as it is.
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


def _line(planned: PlannedStage) -> str:
    state = "to run" if planned.seconds is None else "stored"
    took = "" if planned.seconds is None else f"took {lasting(planned.seconds)}"
    return f"{state:8}{planned.label:28}{_told(planned.cost)}{took:16}{planned.key}"


def _told(cost: Cost | None) -> str:
    if cost is None:
        return f"{'':37}"
    return f"{scaled(cost.flops, 'FLOP'):>12}{scaled(cost.bytes, 'B'):>10}{lasting(cost.seconds):>12}   "


def _sums(planned: Sequence[PlannedStage], speed: MachineSpeed, settings: Settings) -> list[str]:
    """Return the lines below the stages: what is left, all of it, and what was measured."""
    whole = sum((each.cost for each in planned if each.cost), NO_COST)
    left = sum((each.cost for each in planned if each.cost and each.seconds is None), NO_COST)
    known = ", those without an estimate left out" if any(each.cost is None for each in planned) else ""
    machine = f"products {scaled(speed.flops, 'FLOP')}/s in {8 * speed.width} bits, "
    machine += (
        f"memory {scaled(speed.bytes_per_second, 'B')}/s, a small call {1e6 * speed.call_seconds:.1f} µs"
    )
    return [
        f"{'':8}{'all that is to run':28}{_told(left)}",
        f"{'':8}{'all stages':28}{_told(whole)}",
        f"measured with {threads(settings)} threads: {machine}{known}",
    ]


def scaled(value: float, unit: str) -> str:
    """Return three digits with a prefix.

    >>> scaled(1.234e15, "FLOP"), scaled(0, "B")
    ('1.23 PFLOP', '0 B')
    """
    steps = 0
    while value >= 1000 and steps < 6:
        value, steps = value / 1000, steps + 1
    return f"{value:.3g} {' kMGTPE'[steps].strip()}{unit}"


def lasting(seconds: float) -> str:
    """Return a time in the unit that people would name it in.

    >>> lasting(4.04), lasting(300), lasting(7200)
    ('4.0 s', '5.0 min', '2.0 h')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
