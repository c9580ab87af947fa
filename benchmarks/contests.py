"""The rows of the benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import ours, peers, predicted_step, ranking
from benchmarks.measure import Contest, Task
from benchmarks.ours import OWN, RELEASED
from benchmarks.peers import RELEASED_BATCH, Way
from benchmarks.ranking import Case
from benchmarks.setting import RANK, Setting
from sprec.costs.flops import ModelShape, PassSize, count_pass, forward_flops, training_flops
from sprec.llm.fusion import lacking

USERS, ITEMS = 1000, 10_681
DISTINCT = 128
"""Different titles that models write for 1,000 users: DivRatio@1 of .05 to .13 in this project's tables."""
NEGATIVES = 3


@dataclass(frozen=True)
class Sizes:
    """Rows per step (in bfloat16, in float32), the ways that peers are tried in, and the minutes.

    Models see `taught` rows before they write titles. The released pipeline reads `validated` rows after each
    step; its own settings have 256.
    """

    sft: tuple[int, int]
    dpo: tuple[int, int]
    sdpo: int
    titles: int
    taught: int
    iteration: int
    validated: int
    ablation: tuple[int, int]
    ways: tuple[Way, ...]
    batches: tuple[int, ...]
    minutes: float
    repeats: int
    row_growth: tuple[int, ...]
    negative_growth: tuple[int, ...]
    item_growth: tuple[int, ...] = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    pairs: int = 3


FULL = Sizes(
    sft=(16, 16),
    dpo=(8, 8),
    sdpo=8,
    titles=64,
    taught=32,
    iteration=8,
    validated=16,
    ablation=(64, 16),
    ways=(Way(2), Way(4), Way(8), Way(4, autocast=True), Way(4, precomputed=True), Way(4, flat=True)),
    batches=(RELEASED_BATCH, 32),
    minutes=35,
    repeats=3,
    row_growth=(24, 48, 72, 96),
    negative_growth=(1, 5, 10, 15),
)
QUICK = replace(
    FULL,
    sft=(4, 1),
    dpo=(2, 1),
    sdpo=1,
    titles=16,
    taught=16,
    iteration=2,
    validated=2,
    ablation=(8, 4),
    ways=(Way(4),),
    batches=(RELEASED_BATCH,),
    minutes=8,
    repeats=1,
    row_growth=(6, 12, 18, 24),
    negative_growth=(1, 2, 3, 4),
    item_growth=(10_000, 30_000, 100_000, 300_000),
)


def contests(best: Setting, single: Setting, tuned: Path, sizes: Sizes) -> list[Contest]:
    """Return all contests, for the fastest number format and float32, and for adapters that write titles.

    Steps of SFT and DPO are there in both formats, or once where float32 is the fastest.
    """
    model = best.plain()  # counts tokens; settings that go to processes hold none, and peers inherit nothing
    steps = [
        _step("SFT step", replace(best, rows=sizes.sft[0]), 4.0, sizes, model),
        _step("SFT step", replace(single, rows=sizes.sft[1]), 6.0, sizes, model),
        _step("DPO step", replace(best, rows=sizes.dpo[0], negatives=1), 6.0, sizes, model),
        _step("DPO step", replace(single, rows=sizes.dpo[1], negatives=1), 8.0, sizes, model),
    ]
    return [
        *({each.name: each for each in steps}.values()),
        _kept(replace(best, rows=sizes.sft[0]), sizes.ways[0]),
        *_compiled(replace(best, rows=sizes.sft[0]), model),
        _sdpo(replace(best, rows=sizes.sdpo, negatives=NEGATIVES), model),
        *_generation(replace(best, rows=sizes.titles), tuned, sizes, model),
        _evaluation("evaluation", DISTINCT, 100.0),
        _evaluation("evaluation, no two titles alike", USERS, None),
        _iteration(replace(best, rows=sizes.iteration, negatives=1, tuned=tuned / RELEASED), sizes.validated),
    ]


def _step(name: str, setting: Setting, figure: float, sizes: Sizes, model: Setting) -> Contest:
    ways = [way for way in sizes.ways if setting.bf16 or not way.autocast]
    ways = [way for way in ways if not (way.flat if setting.negatives else way.precomputed)]
    ways = [replace(way, batch=min(way.batch, setting.rows)) for way in ways]
    others: Mapping[str, Task] = {f"TRL, {_said(way)}": partial(peers.trl, setting, way) for way in ways}
    task, kind = partial(ours.step, setting), setting.precision
    flops, seconds = partial(_flops, setting, model), partial(predicted_step.step, setting, model)
    return Contest(f"{name}, {kind}", "rows", task, others, figure, flops, kind, seconds)


def _kept(setting: Setting, way: Way) -> Contest:
    """Return our step against TRL's where its process has our setting of the C library too."""
    way = replace(way, batch=min(way.batch, setting.rows), kept=True)
    rival = {f"TRL, {_said(way)}": partial(peers.trl, setting, way)}
    name = f"SFT step, {setting.precision}, the peer's freed memory kept as ours"
    return Contest(name, "rows", partial(ours.step, setting), rival)


def _compiled(setting: Setting, model: Setting) -> list[Contest]:
    """Return our step with `trainer.compile=true` against that without, where there is a compiler."""
    if lacking("cpu"):
        return []
    trainer = setting.settings.trainer.model_copy(update={"compile": True})
    fused = replace(setting, settings=setting.settings.model_copy(update={"trainer": trainer}))
    rival = {"ours, not compiled": partial(ours.step, setting)}
    name, flops = f"SFT step, {setting.precision}, trainer.compile=true", partial(_flops, setting, model)
    return [Contest(name, "rows", partial(ours.step, fused), rival, None, flops, setting.precision)]


def _sdpo(setting: Setting, model: Setting) -> Contest:
    batches = [size for size in (1, 2, 4) if size <= setting.rows]
    others: Mapping[str, Task] = {
        f"full sequences, batch {batch}": partial(peers.sdpo_full, setting, batch) for batch in batches
    }
    task, kind = partial(ours.step, setting), setting.precision
    flops, seconds = partial(_flops, setting, model), partial(predicted_step.step, setting, model)
    return Contest(f"S-DPO step, 3 negatives, {kind}", "rows", task, others, 8.0, flops, kind, seconds)


def _generation(setting: Setting, tuned: Path, sizes: Sizes, model: Setting) -> list[Contest]:
    """Return the contests of writing titles: with adapters of the released SFT, and with such that end."""
    flops, seconds = partial(_written, setting, model), partial(predicted_step.titles, setting, model)

    def against(name: str, figure: float, adapters: str, *, stopping: bool) -> Contest:
        own, kind = replace(setting, tuned=tuned / adapters), setting.precision
        rival: dict[str, Task] = {
            f"generate, batch {batch}{', merged' * merged}": partial(
                peers.generate, own, batch, stopping=stopping, merged=merged
            )
            for batch in sizes.batches
            for merged in ((False, True) if stopping else (False,))
        }
        title, task = f"self-play against {name}, {kind}", partial(ours.titles, own)
        return Contest(title, "titles", task, rival, figure, flops, kind, seconds)

    return [
        against("released settings", 10.0, RELEASED, stopping=False),
        against("our stop rule", 2.0, OWN, stopping=True),
    ]


def _evaluation(name: str, distinct: int, figure: float | None) -> Contest:
    case = Case(USERS, ITEMS, distinct)
    rival = {"released algorithm": partial(ranking.evaluation, case, plain=True)}
    task = partial(ranking.evaluation, case, plain=False, times=10)
    return Contest(f"{name}, {USERS} users × {ITEMS} items", "users", task, rival, figure)


def _iteration(setting: Setting, validated: int) -> Contest:
    rival = {
        f"released pipeline on TRL, {validated} rows validated a step": partial(
            peers.pipeline, setting, validated=validated
        )
    }
    name = f"SPRec iteration, {setting.precision}"
    return Contest(name, "rows", partial(ours.iteration, setting), rival, 6.0)


def _asked(setting: Setting, model: Setting) -> tuple[ModelShape, PassSize]:
    own = setting.lent(model)
    return ModelShape.of(own.model.base_model.config, RANK), count_pass(own.encoded())


def _written(setting: Setting, model: Setting) -> float:
    """Return the necessary FLOPs of writing titles as long as the true ones."""
    return forward_flops(*_asked(setting, model))


def _flops(setting: Setting, model: Setting) -> float:
    """Return the necessary FLOPs of one step, the pass of the reference included."""
    asked = _asked(setting, model)
    return training_flops(*asked) + (forward_flops(*asked) if setting.negatives else 0)


def _said(way: Way) -> str:
    parts = ["autocast" * way.autocast, "reference beforehand" * way.precomputed, "no padding" * way.flat]
    return ", ".join([f"batch {way.batch}", *filter(None, parts)])
