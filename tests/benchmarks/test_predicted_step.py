import pytest

from benchmarks.predicted_step import stepped
from sprec.costs import cost
from sprec.costs.flops import Shape
from sprec.costs.machine_speed import Speed
from sprec.llm.token_rows import TokenRow

SMALL = Shape(layers=2, hidden=4, inner=6, heads=2, groups=1, head_size=2, vocabulary=10, rank=1)
SPEED = Speed(flops=100.0, bytes_per_second=10.0, call_seconds=0.5, width=2)


def rows(answers):
    return [TokenRow((1, 2, number), ((7, 8),) * answers) for number in range(4)]


def test_sft_step_is_its_passes_and_the_update():
    found = stepped(rows(1), SMALL, SPEED, batch_tokens=8, eval_batch_tokens=8)
    passes = 2 * cost.train(SMALL, rows(1)[:2], SPEED).seconds  # rows of four tokens, two to a pass
    assert found == pytest.approx(passes + cost.update(SMALL, SPEED).seconds)


def test_step_with_negatives_reads_the_reference_too():
    found = stepped(rows(2), SMALL, SPEED, batch_tokens=100, eval_batch_tokens=10)
    whole, half = cost.train(SMALL, rows(2), SPEED), cost.read(SMALL, rows(2)[:2], SPEED)
    assert found == pytest.approx(whole.seconds + 2 * half.seconds + cost.update(SMALL, SPEED).seconds)
