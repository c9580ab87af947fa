"""The seconds that `+plan=true` predicts for our side of a contest, to compare with those measured."""

from collections.abc import Sequence

from benchmarks.setting import RANK, Setting
from sprec.costs import pass_costs
from sprec.costs.cost_estimator import split_into_passes
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed, measure_speed
from sprec.costs.pass_costs import NO_COST
from sprec.llm.token_rows import TokenRow


def step_seconds(setting: Setting, model: Setting) -> float:
    """Return the predicted seconds of an optimiser step, including the pass of the reference.

    `model` has the base LLM loaded. The machine is measured at each call.
    """
    own = setting.with_model_of(model)
    shape, speed = _shape_and_speed(own)
    return step_seconds_on_rows(
        own.encode_rows(),
        shape,
        speed,
        batch_tokens=setting.settings.trainer.batch_tokens,
        eval_batch_tokens=setting.settings.trainer.eval_batch_tokens,
    )


def step_seconds_on_rows(
    rows: Sequence[TokenRow],
    shape: ModelShape,
    speed: MachineSpeed,
    *,
    batch_tokens: int,
    eval_batch_tokens: int,
) -> float:
    """Return the predicted seconds of an optimiser step on these rows.

    Args:
        rows: rows of a prompt and its answers.
        shape: sizes of the base LLM.
        speed: of the machine.
        batch_tokens: most tokens of a pass with gradients.
        eval_batch_tokens: most tokens of a pass without.

    """
    total = pass_costs.optimizer_step(shape, speed)
    total += sum(
        (pass_costs.training_pass(shape, batch, speed) for batch in split_into_passes(rows, batch_tokens)),
        NO_COST,
    )
    if len(rows[0].answers) > 1:
        total += sum(
            (
                pass_costs.forward_pass(shape, batch, speed)
                for batch in split_into_passes(rows, eval_batch_tokens)
            ),
            NO_COST,
        )
    return total.seconds


def titles_seconds(setting: Setting, model: Setting) -> float:
    """Return the predicted seconds of writing a title per prompt, each as long as the true one."""
    own = setting.with_model_of(model)
    shape, speed = _shape_and_speed(own)
    total = NO_COST
    for batch in split_into_passes(own.encode_rows(), setting.settings.trainer.eval_batch_tokens):
        lengths = [len(row.answers[0]) for row in batch]
        total += pass_costs.write_titles(shape, [row.prompt for row in batch], lengths, speed)
    return total.seconds


def _shape_and_speed(own: Setting) -> tuple[ModelShape, MachineSpeed]:
    shape = ModelShape.of(own.model.base_model.config, RANK)
    return shape, measure_speed(shape, "cpu", bf16=own.bf16)
