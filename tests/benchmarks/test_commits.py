"""Steps of two commits in turn."""

from benchmarks.commits import time_in_turn


def test_the_order_turns_and_first_steps_do_not_count():
    asked = []

    def side(name, seconds):
        return lambda kind: asked.append(name) or seconds.pop(0)

    pairs = time_in_turn("SFT", [side("a", [9.0, 1.0, 2.0]), side("b", [8.0, 3.0, 4.0])], turns=2)
    assert pairs == [(1.0, 3.0), (2.0, 4.0)]
    assert asked == ["b", "a", "a", "b", "b", "a"]
