"""What `+plan=true` would say that our side of a contest takes, to stand beside what it took."""

from collections.abc import Sequence

from benchmarks.setting import RANK, Setting
from sprec.costs import pass_costs
from sprec.costs.cost_estimator import split_into_passes
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed, measure_speed
from sprec.costs.pass_costs import NO_COST
from sprec.generation.decoding import TITLE_TOKENS
from sprec.llm.token_rows import TokenRow


def step(setting: Setting, model: Setting) -> float:
    """Return the estimated seconds of an optimiser step, the reference's pass included.

    `model` has the base LLM loaded; the machine is measured at each call.
    """
    own = setting.lent(model)
    shape, speed = _told(own)
    return stepped(
        own.encoded(),
        shape,
        speed,
        batch_tokens=setting.settings.trainer.batch_tokens,
        eval_batch_tokens=setting.settings.trainer.eval_batch_tokens,
    )


def stepped(
    rows: Sequence[TokenRow],
    shape: ModelShape,
    speed: MachineSpeed,
    *,
    batch_tokens: int,
    eval_batch_tokens: int,
) -> float:
    """Return the estimated seconds of an optimiser step on these rows."""
    found = pass_costs.optimizer_step(shape, speed)
    found += sum(
        (pass_costs.training_pass(shape, part, speed) for part in split_into_passes(rows, batch_tokens)),
        NO_COST,
    )
    if len(rows[0].answers) > 1:
        found += sum(
            (
                pass_costs.forward_pass(shape, part, speed)
                for part in split_into_passes(rows, eval_batch_tokens)
            ),
            NO_COST,
        )
    return found.seconds


def titles(setting: Setting, model: Setting) -> float:
    """Return the estimated seconds of a title for each prompt, taken to be as long as the true ones."""
    own = setting.lent(model)
    shape, speed = _told(own)
    found = NO_COST
    for part in split_into_passes(own.encoded(), setting.settings.trainer.eval_batch_tokens):
        lengths = [min(len(row.answers[0]), TITLE_TOKENS) for row in part]
        found += pass_costs.write_titles(shape, [row.prompt for row in part], lengths, speed)
    return found.seconds


def _told(own: Setting) -> tuple[ModelShape, MachineSpeed]:
    shape = ModelShape.of(own.model.base_model.config, RANK)
    return shape, measure_speed(shape, "cpu", bf16=own.bf16)
