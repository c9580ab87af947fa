import pytest

from benchmarks.predicted_step import stepped
from sprec.costs.flops import ModelShape
from sprec.costs.machine_speed import MachineSpeed
from sprec.costs.pass_costs import forward_pass, optimizer_step, training_pass
from sprec.llm.token_rows import TokenRow

SMALL = ModelShape(layers=2, hidden=4, inner=6, heads=2, groups=1, head_size=2, vocabulary=10, rank=1)
SPEED = MachineSpeed(flops=100.0, bytes_per_second=10.0, call_seconds=0.5, width=2)


def rows(answers):
    return [TokenRow((1, 2, number), ((7, 8),) * answers) for number in range(4)]


def test_sft_step_is_its_passes_and_the_update():
    found = stepped(rows(1), SMALL, SPEED, batch_tokens=8, eval_batch_tokens=8)
    passes = 2 * training_pass(SMALL, rows(1)[:2], SPEED).seconds  # rows of four tokens, two to a pass
    assert found == pytest.approx(passes + optimizer_step(SMALL, SPEED).seconds)


def test_step_with_negatives_reads_the_reference_too():
    found = stepped(rows(2), SMALL, SPEED, batch_tokens=100, eval_batch_tokens=10)
    whole, half = (
        training_pass(SMALL, rows(2), SPEED),
        forward_pass(SMALL, rows(2)[:2], SPEED),
    )
    assert found == pytest.approx(whole.seconds + 2 * half.seconds + optimizer_step(SMALL, SPEED).seconds)
