import pytest

from sprec.bench.cost import Cost, Lengths, Speed, planned, preference, sft, writing
from sprec.bench.flops import Load, Shape, load, reading, training
from sprec.llm.batches import Row

SMALL = Shape(layers=2, hidden=4, inner=6, heads=2, groups=1, head_size=2, vocabulary=10, rank=1)
SPEED = Speed(peak_flops=100.0, share=0.5, bytes_per_second=10.0)


@pytest.mark.parametrize("answers", [1, 3])
def test_planned_load_is_that_of_rows_of_equal_length(answers):
    rows = [Row((1, 2, 3, own, own), ((7, 8, 9),) * answers) for own in range(4)]
    assert planned(4, Lengths(5, 3, 3), answers=answers) == load(rows)


def test_seconds_are_operations_over_the_share_of_the_peak_that_is_reached():
    asked = Load(tokens=6, pairs=17, predicted=4)
    found = sft(SMALL, 2, Lengths(3, 2, 2), SPEED, batch_rows=2, epochs=3)
    assert found == Cost(3 * training(SMALL, asked), 0.0, 3 * training(SMALL, asked) / 50)


def test_preferences_cost_a_reference_pass_more_and_two_devices_halve_the_time():
    lengths, asked = Lengths(3, 2, 2), planned(2, Lengths(3, 2, 2), answers=2)
    one = preference(SMALL, 2, lengths, SPEED, negatives=1, batch_rows=2, epochs=1)
    assert one.flops == reading(SMALL, asked) + training(SMALL, asked)
    pair = Speed(100.0, 0.5, 10.0, devices=2)
    two = preference(SMALL, 2, lengths, pair, negatives=1, batch_rows=2, epochs=1)
    assert two.seconds == one.seconds / 2


def test_writing_reads_all_weights_for_each_token_of_each_group():
    found = writing(SMALL, 4, Lengths(3, 2, 2), SPEED, reading_tokens=6)
    # 2 groups · 2 tokens · 2 bytes · (240 projections + 40 output layer)
    assert found.bytes == 2 * 2 * 2 * 280
