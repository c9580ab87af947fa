import pytest

from benchmarks.predicted_step import step_seconds_on_rows
from sprec.costs import pass_costs
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed
from sprec.llm.token_rows import TokenRow

SMALL = ModelShape(layers=2, hidden=4, inner=6, heads=2, groups=1, head_size=2, vocabulary=10, rank=1)
SPEED = MachineSpeed(flops=100.0, bytes_per_second=10.0, call_seconds=0.5, width=2)


def rows(answers):
    return [TokenRow((1, 2, number), ((7, 8),) * answers) for number in range(4)]


def test_sft_step_is_its_passes_and_the_update():
    seconds = step_seconds_on_rows(rows(1), SMALL, SPEED, batch_tokens=8, eval_batch_tokens=8)
    passes = (
        2 * pass_costs.training_pass(SMALL, rows(1)[:2], SPEED).seconds
    )  # rows of four tokens, two to a pass
    assert seconds == pytest.approx(passes + pass_costs.optimizer_step(SMALL, SPEED).seconds)


def test_step_with_negatives_reads_the_reference_too():
    seconds = step_seconds_on_rows(rows(2), SMALL, SPEED, batch_tokens=100, eval_batch_tokens=10)
    whole, half = (
        pass_costs.training_pass(SMALL, rows(2), SPEED),
        pass_costs.forward_pass(SMALL, rows(2)[:2], SPEED),
    )
    assert seconds == pytest.approx(
        whole.seconds + 2 * half.seconds + pass_costs.optimizer_step(SMALL, SPEED).seconds
    )
