"""The contests of the benchmark: what each side does, in which sizes, and the ratio to reach."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import ours, peers, predicted_step, ranking
from benchmarks.measure import Contest, Task
from benchmarks.ours import OWN, RELEASED
from benchmarks.peers import RELEASED_BATCH, TrainerSetup
from benchmarks.ranking import RankingCase
from benchmarks.setting import RANK, Setting
from sprec.costs.flops import ModelShape, PassSize, count_pass, forward_flops, training_flops

USERS, ITEMS = 1000, 10_681
DISTINCT = 128
"""Different titles that models write for 1,000 users: DivRatio@1 is .05 to .13 in this project's tables."""
NEGATIVES = 3


@dataclass(frozen=True)
class BenchmarkSizes:
    """Rows per step (in bfloat16, in float32), the set-ups that peers are tried in, and the minutes.

    Adapters that write titles are tuned on `tuning_rows`. The released pipeline evaluates `validation_rows`
    after each step; its own settings have 256.
    """

    sft: tuple[int, int]
    dpo: tuple[int, int]
    sdpo: int
    titles: int
    tuning_rows: int
    iteration: int
    validation_rows: int
    ablation: tuple[int, int]
    setups: tuple[TrainerSetup, ...]
    batches: tuple[int, ...]
    minutes: float
    repeats: int
    row_growth: tuple[int, ...]
    negative_growth: tuple[int, ...]
    item_growth: tuple[int, ...] = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    pairs: int = 3


FULL = BenchmarkSizes(
    sft=(16, 16),
    dpo=(8, 8),
    sdpo=8,
    titles=64,
    tuning_rows=32,
    iteration=8,
    validation_rows=16,
    ablation=(64, 16),
    setups=(
        TrainerSetup(2),
        TrainerSetup(4),
        TrainerSetup(8),
        TrainerSetup(4, autocast=True),
        TrainerSetup(4, precomputed=True),
        TrainerSetup(4, padding_free=True),
    ),
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
    tuning_rows=16,
    iteration=2,
    validation_rows=2,
    ablation=(8, 4),
    setups=(TrainerSetup(4),),
    batches=(RELEASED_BATCH,),
    minutes=8,
    repeats=1,
    row_growth=(6, 12, 18, 24),
    negative_growth=(1, 2, 3, 4),
    item_growth=(10_000, 30_000, 100_000, 300_000),
)


def list_contests(best: Setting, single: Setting, adapters: Path, sizes: BenchmarkSizes) -> list[Contest]:
    """Return all contests, in the fastest number format (`best`) and in float32 (`single`).

    Steps of SFT and DPO come in both formats, or once where float32 is the fastest. `adapters` is the folder
    of the adapters that write titles.
    """
    # A copy counts tokens: settings that are sent to the processes must not carry a loaded model with them.
    model = replace(best)
    steps = [
        _step_contest("SFT step", replace(best, rows=sizes.sft[0]), 4.0, sizes, model),
        _step_contest("SFT step", replace(single, rows=sizes.sft[1]), 6.0, sizes, model),
        _step_contest("DPO step", replace(best, rows=sizes.dpo[0], negatives=1), 6.0, sizes, model),
        _step_contest("DPO step", replace(single, rows=sizes.dpo[1], negatives=1), 8.0, sizes, model),
    ]
    return [
        *({contest.name: contest for contest in steps}.values()),
        _sdpo_contest(replace(best, rows=sizes.sdpo, negatives=NEGATIVES), model),
        *_title_contests(replace(best, rows=sizes.titles), adapters, sizes, model),
        _evaluation_contest("evaluation", DISTINCT, 100.0),
        _evaluation_contest("evaluation, no two titles alike", USERS, None),
        _iteration_contest(
            replace(best, rows=sizes.iteration, negatives=1, tuned=adapters / RELEASED), sizes.validation_rows
        ),
    ]


def _step_contest(
    name: str, setting: Setting, at_least: float, sizes: BenchmarkSizes, model: Setting
) -> Contest:
    setups = [setup for setup in sizes.setups if setting.bf16 or not setup.autocast]
    setups = [
        setup for setup in setups if not (setup.padding_free if setting.negatives else setup.precomputed)
    ]
    setups = [replace(setup, batch=min(setup.batch, setting.rows)) for setup in setups]
    rivals: Mapping[str, Task] = {
        f"TRL, {_describe_setup(setup)}": partial(peers.trl_step, setting, setup) for setup in setups
    }
    task, precision = partial(ours.optimiser_step, setting), setting.precision
    flops, seconds = (
        partial(_step_flops, setting, model),
        partial(predicted_step.step_seconds, setting, model),
    )
    return Contest(f"{name}, {precision}", "rows", task, rivals, at_least, flops, precision, seconds)


def _sdpo_contest(setting: Setting, model: Setting) -> Contest:
    batches = [size for size in (1, 2, 4) if size <= setting.rows]
    rivals: Mapping[str, Task] = {
        f"full sequences, batch {batch}": partial(peers.sdpo_step, setting, batch) for batch in batches
    }
    task, precision = partial(ours.optimiser_step, setting), setting.precision
    flops, seconds = (
        partial(_step_flops, setting, model),
        partial(predicted_step.step_seconds, setting, model),
    )
    name = f"S-DPO step, 3 negatives, {precision}"
    return Contest(name, "rows", task, rivals, 8.0, flops, precision, seconds)


def _title_contests(setting: Setting, adapters: Path, sizes: BenchmarkSizes, model: Setting) -> list[Contest]:
    """Return the contests of writing titles, with our adapters and with those of the released SFT."""
    flops, seconds = (
        partial(_title_flops, setting, model),
        partial(predicted_step.titles_seconds, setting, model),
    )

    def against(name: str, at_least: float, kind: str, *, stopping: bool) -> Contest:
        own, precision = replace(setting, tuned=adapters / kind), setting.precision
        rivals: dict[str, Task] = {
            f"generate, batch {batch}{', merged' * merged}": partial(
                peers.generate_titles, own, batch, stopping=stopping, merged=merged
            )
            for batch in sizes.batches
            for merged in ((False, True) if stopping else (False,))
        }
        title, task = f"self-play against {name}, {precision}", partial(ours.self_play_step, own)
        return Contest(title, "titles", task, rivals, at_least, flops, precision, seconds)

    return [
        against("released settings", 10.0, RELEASED, stopping=False),
        against("our stop rule", 2.0, OWN, stopping=True),
    ]


def _evaluation_contest(name: str, distinct: int, at_least: float | None) -> Contest:
    case = RankingCase(USERS, ITEMS, distinct)
    rivals = {"released algorithm": partial(ranking.evaluate_case, case, as_released=True)}
    task = partial(ranking.evaluate_case, case, as_released=False, times=10)
    return Contest(f"{name}, {USERS} users × {ITEMS} items", "users", task, rivals, at_least)


def _iteration_contest(setting: Setting, validation_rows: int) -> Contest:
    rivals = {
        f"released pipeline on TRL, {validation_rows} rows validated a step": partial(
            peers.released_iteration, setting, validation_rows=validation_rows
        )
    }
    name = f"SPRec iteration, {setting.precision}"
    return Contest(name, "rows", partial(ours.sprec_iteration, setting), rivals, 6.0)


def _shape_and_load(setting: Setting, model: Setting) -> tuple[ModelShape, PassSize]:
    own = setting.with_model_of(model)
    return ModelShape.of(own.model.base_model.config, RANK), count_pass(own.encode_rows())


def _title_flops(setting: Setting, model: Setting) -> float:
    """Return the necessary FLOPs of writing titles as long as the true ones."""
    return forward_flops(*_shape_and_load(setting, model))


def _step_flops(setting: Setting, model: Setting) -> float:
    """Return the necessary FLOPs of one step, including the pass of the reference."""
    counted = _shape_and_load(setting, model)
    return training_flops(*counted) + (forward_flops(*counted) if setting.negatives else 0)


def _describe_setup(setup: TrainerSetup) -> str:
    switches = {
        "autocast": setup.autocast,
        "reference beforehand": setup.precomputed,
        "no padding": setup.padding_free,
    }
    return ", ".join([f"batch {setup.batch}", *(name for name, is_on in switches.items() if is_on)])
