"""The rows of the benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sprec.bench import ours, peers, ranking
from sprec.bench.measure import Contest, Task
from sprec.bench.peers import Way
from sprec.bench.ranking import Case
from sprec.bench.setting import RANK, Setting
from sprec.llm.flops import Shape, load, reading, training

USERS, ITEMS = 1000, 10_681
NEGATIVES = 3


@dataclass(frozen=True)
class Sizes:
    """Rows per step (in bfloat16, in float32), and how wide the search for the fastest peer is."""

    sft: tuple[int, int]
    dpo: tuple[int, int]
    sdpo: int
    titles: int
    ways: tuple[Way, ...]
    batches: tuple[int, ...]
    pairs: int
    repeats: int
    row_growth: tuple[int, ...]
    negative_growth: tuple[int, ...]
    item_growth: tuple[int, ...] = (10_000, 30_000, 100_000, 300_000, 1_000_000)


FULL = Sizes(
    sft=(16, 16),
    dpo=(8, 8),
    sdpo=8,
    titles=128,
    ways=(Way(1), Way(2), Way(4), Way(8), Way(4, autocast=True), Way(4, precomputed=True)),
    batches=(16, 32, 64, 128),
    pairs=3,
    repeats=3,
    row_growth=(16, 32, 64, 128),
    negative_growth=(1, 2, 4, 8),
)
QUICK = replace(
    FULL,
    sft=(8, 4),
    dpo=(4, 2),
    sdpo=2,
    titles=32,
    ways=(Way(4),),
    batches=(32,),
    repeats=1,
    row_growth=(8, 16, 24, 32),
    negative_growth=(1, 2, 3, 4),
)


def contests(half: Setting, single: Setting, tuned: Path, sizes: Sizes) -> list[Contest]:
    """Return all contests, for settings in bfloat16 and float32 and adapters that write titles."""
    return [
        *_steps("SFT step", [half, single], sizes.sft, 0, (4.0, 6.0), sizes),
        *_steps("DPO step", [half, single], sizes.dpo, 1, (6.0, 8.0), sizes),
        _sdpo(replace(half, rows=sizes.sdpo, negatives=NEGATIVES), sizes),
        *_generation(replace(half, rows=sizes.titles, tuned=tuned), sizes),
        _evaluation(),
    ]


def _steps(
    name: str,
    settings: list[Setting],
    rows: tuple[int, int],
    negatives: int,
    figures: tuple[float, float],
    sizes: Sizes,
) -> list[Contest]:
    return [
        _step(
            f"{name}, {_precision(setting)}", replace(setting, rows=size, negatives=negatives), figure, sizes
        )
        for setting, size, figure in zip(settings, rows, figures, strict=True)
    ]


def _step(name: str, setting: Setting, figure: float, sizes: Sizes) -> Contest:
    ways = [way for way in sizes.ways if setting.bf16 or not way.autocast]
    ways = [way for way in ways if setting.negatives or not way.precomputed]
    ways = [replace(way, batch=min(way.batch, setting.rows)) for way in ways]
    others: Mapping[str, Task] = {f"TRL, {_said(way)}": partial(peers.trl, setting, way) for way in ways}
    return Contest(name, "rows", partial(ours.step, setting), others, figure, _flops(setting))


def _sdpo(setting: Setting, sizes: Sizes) -> Contest:
    batches = (1, 2, 4) if len(sizes.ways) > 1 else (2,)
    others: Mapping[str, Task] = {
        f"full sequences, batch {batch}": partial(peers.sdpo_full, setting, batch) for batch in batches
    }
    task = partial(ours.step, setting)
    return Contest("S-DPO step, 3 negatives, bf16", "rows", task, others, 8.0, _flops(setting))


def _generation(setting: Setting, sizes: Sizes) -> list[Contest]:
    def rivals(*, stopping: bool) -> dict[str, Task]:
        return {
            f"generate, batch {batch}{', merged' * merged}": partial(
                peers.generate, setting, batch, stopping=stopping, merged=merged
            )
            for batch in sizes.batches
            for merged in ((False, True) if stopping else (False,))
        }

    task = partial(ours.titles, setting)
    return [
        Contest("self-play against released settings, bf16", "titles", task, rivals(stopping=False), 10.0),
        Contest("self-play against our stop rule, bf16", "titles", task, rivals(stopping=True), 2.0),
    ]


def _evaluation() -> Contest:
    case = Case(USERS, ITEMS)
    rival = {"released algorithm": partial(ranking.evaluation, case, released=True)}
    task = partial(ranking.evaluation, case, released=False)
    return Contest(f"evaluation, {USERS} users × {ITEMS} items", "users", task, rival, 100.0)


def _flops(setting: Setting) -> float:
    """Return the necessary FLOPs of one step, the pass of the reference included."""
    own = replace(setting)  # a copy holds no model, so the one that goes to a process stays small
    asked, shape = load(own.encoded()), Shape.of(own.model.base.config, RANK)
    return training(shape, asked) + (reading(shape, asked) if own.negatives else 0)


def _precision(setting: Setting) -> str:
    return "bf16" if setting.bf16 else "float32"


def _said(way: Way) -> str:
    parts = ["autocast" * way.autocast, "reference beforehand" * way.precomputed]
    return ", ".join([f"batch {way.batch}", *filter(None, parts)])
