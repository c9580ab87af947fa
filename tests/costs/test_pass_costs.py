import pytest
import torch

from sprec.costs import machine_speed, pass_costs
from sprec.costs.flops import ModelShape, PassSize, count_pass, forward_flops, training_flops
from sprec.costs.machine_speed import MachineSpeed, fastest, measure_speed
from sprec.costs.pass_costs import CACHE, CALLS, FEWEST, GRADIENT, LOGIT_BYTES, SCORES, SHARE, STREAMS, Cost
from sprec.llm.token_rows import TokenRow

SMALL = ModelShape(layers=2, hidden=4, inner=6, heads=2, groups=1, head_size=2, vocabulary=10, rank=1)
SPEED = MachineSpeed(flops=100.0, bytes_per_second=10.0, call_seconds=0.5, width=2)
ROWS = [TokenRow((1, 2, 3), ((7, 8),)), TokenRow((1, 2, 4), ((7, 9),))]
# six tokens, seventeen pairs and four logits rows
MOVED = 2 * (STREAMS * 2 * 6 * (4 + 6) + SCORES * 2 * 2 * 17) + LOGIT_BYTES * 4 * 10


def test_reading_takes_products_bytes_and_calls_one_after_the_other():
    assert count_pass(ROWS) == PassSize(tokens=6, pairs=17, predicted=4)
    actual = pass_costs.forward_pass(SMALL, ROWS, SPEED)
    assert actual.flops == forward_flops(SMALL, count_pass(ROWS))
    assert actual.bytes == MOVED + 2 * (240 + 40)  # every weight once: projections and output layer
    assert actual.seconds == pytest.approx(
        actual.flops / (SHARE * 100) + actual.bytes / 10 + 2 * CALLS * 2 * 0.5
    )


def test_training_moves_and_calls_three_times_as_much_and_reads_weights_twice():
    actual = pass_costs.training_pass(SMALL, ROWS, SPEED)
    assert actual.flops == training_flops(SMALL, count_pass(ROWS))
    assert actual.bytes == GRADIENT * MOVED + 2 * 2 * 280
    calls = 2 * GRADIENT * CALLS * 2 * 0.5  # two per layer of 16-bit numbers, which are cast
    assert actual.seconds == pytest.approx(actual.flops / (SHARE * 100) + actual.bytes / 10 + calls)


def test_writing_reads_weights_once_a_step_and_each_rows_cache_once_a_token():
    prompts, lengths = [(1, 2, 3), (1, 2, 4, 5)], [2, 5]
    start = pass_costs.forward_pass(SMALL, [TokenRow(prompt, ((0,),)) for prompt in prompts], SPEED)
    actual = pass_costs.write_titles(SMALL, prompts, lengths, SPEED)
    cached_tokens = 2 * 3 + 5 * 4
    assert actual.flops - start.flops == 2 * 280 * 7 + 4 * 2 * 2 * 2 * cached_tokens
    # a token leaves keys and values of one group of two numbers in two layers
    assert actual.bytes - start.bytes == 2 * (5 * 280 + CACHE * 8 * cached_tokens) + LOGIT_BYTES * 7 * 10


def test_a_step_of_few_rows_takes_as_long_as_one_of_sixteen():
    def seconds(rows):
        prompts = [(1, 2, number) for number in range(rows)]
        start = pass_costs.forward_pass(SMALL, [TokenRow(prompt, ((0,),)) for prompt in prompts], SPEED)
        actual = pass_costs.write_titles(SMALL, prompts, [1] * rows, SPEED)
        moved = (actual.bytes - start.bytes) / 10
        attention = 4 * 2 * 2 * 2 * 3 * rows / (SHARE * 100)
        return actual.seconds - start.seconds - moved - attention

    assert seconds(2) == pytest.approx(seconds(FEWEST))
    assert seconds(32) == pytest.approx(seconds(FEWEST) + 16 * 2 * 280 / (SHARE * 100))


def test_beams_write_as_many_titles_as_there_are_beams():
    prompts, lengths = [(1, 2, 3)], [4]
    start = pass_costs.forward_pass(SMALL, [TokenRow(prompts[0], ((0,),))], SPEED)
    one, three = (pass_costs.write_titles(SMALL, prompts, lengths, SPEED, beams=beams) for beams in (1, 3))
    assert three.flops - start.flops == 3 * (one.flops - start.flops)


def test_an_update_moves_seven_numbers_per_tuned_weight_and_two_devices_halve_the_time():
    assert pass_costs.optimizer_step(SMALL, SPEED) == Cost(0, 28 * 116, 28 * 116 / 10)
    two = MachineSpeed(100.0, 10.0, 0.5, 2, devices=2)
    assert pass_costs.optimizer_step(SMALL, two).seconds == 28 * 116 / 20


def test_costs_add_up_and_scale():
    assert Cost(1, 2, 3) + pass_costs.timed(4) * 2 == Cost(1, 2, 11)


@pytest.mark.parametrize(("bf16", "width"), [(False, 4), (True, 2)])
def test_a_machine_is_measured_in_the_numbers_that_it_computes_with(bf16, width):
    actual = measure_speed(SMALL, "cpu", bf16=bf16, seconds=0.01)
    assert actual.width == width
    assert min(actual.flops, actual.bytes_per_second, actual.call_seconds) > 0


def test_few_threads_are_bounded_by_what_one_does_where_the_machine_is_busy(monkeypatch):
    speeds = iter([MachineSpeed(3.0, 2.0, 0.1, 4), MachineSpeed(10.0, 1.0, 0.2, 4)])  # both threads, then one
    monkeypatch.setattr(machine_speed, "_measure", lambda *_, **__: next(speeds))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    actual = measure_speed(SMALL, "cpu", bf16=False, devices=3)
    assert (actual, torch.get_num_threads()) == (MachineSpeed(16.0, 2.0, 0.1, 4, devices=3), 2)
    torch.set_num_threads(before)


def test_the_best_of_two_measurements_takes_the_best_of_each_number():
    assert fastest(MachineSpeed(1, 5, 0.2, 2), MachineSpeed(2, 4, 0.1, 2)) == MachineSpeed(2, 5, 0.1, 2)
