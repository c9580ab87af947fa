"""What `+plan=true` would say that our side of a contest takes, to stand beside what it took."""

from collections.abc import Sequence

from benchmarks.setting import RANK, Setting
from sprec.costs import cost
from sprec.costs.cost import NOTHING
from sprec.costs.flops import Shape
from sprec.costs.machine_speed import Speed, measured
from sprec.costs.planned_stages import parts
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
    rows: Sequence[TokenRow], shape: Shape, speed: Speed, *, batch_tokens: int, eval_batch_tokens: int
) -> float:
    """Return the estimated seconds of an optimiser step on these rows."""
    found = cost.update(shape, speed)
    found += sum((cost.train(shape, part, speed) for part in parts(rows, batch_tokens)), NOTHING)
    if len(rows[0].answers) > 1:
        found += sum((cost.read(shape, part, speed) for part in parts(rows, eval_batch_tokens)), NOTHING)
    return found.seconds


def titles(setting: Setting, model: Setting) -> float:
    """Return the estimated seconds of a title for each prompt, taken to be as long as the true ones."""
    own = setting.lent(model)
    shape, speed = _told(own)
    found = NOTHING
    for part in parts(own.encoded(), setting.settings.trainer.eval_batch_tokens):
        lengths = [min(len(row.answers[0]), TITLE_TOKENS) for row in part]
        found += cost.write(shape, [row.prompt for row in part], lengths, speed)
    return found.seconds


def _told(own: Setting) -> tuple[Shape, Speed]:
    shape = Shape.of(own.model.base_model.config, RANK)
    return shape, measured(shape, "cpu", bf16=own.bf16)
