"""Algorithm 1: which model acts in which step, told by numbered states."""

from dataclasses import fields
from functools import partial

import pytest

from sprec.algorithm import SelfPlayAlgorithm
from sprec.generation.decoding import Greedy
from sprec.negatives import SelfPlay
from sprec.training.context import ModelState
from sprec.training.objectives import dpo
from sprec.training.schedule import Schedule

RATES = {"initial": 1e-3, "sft": 1e-4, "dpo": 1e-5}
SCHEDULES = {name: Schedule(1, 8, rate, 1, 1.0, 2048) for name, rate in RATES.items()}
NAMES = {schedule: name for name, schedule in SCHEDULES.items()}


class LoggedStages:
    """Numbers what each stage makes, from 1; the base LLM is 0."""

    def __init__(self):
        self.calls = []

    def _made(self, *call):
        self.calls.append((*call, len(self.calls) + 1))
        return ModelState(str(len(self.calls)), None)

    def sft(self, policy, iteration, schedule, weighting=None, counterfactual=None):
        return self._made("sft", int(policy.key), iteration, NAMES[schedule])

    def negatives(self, policy, iteration, sampler, decoding, *, keep_pairs_equal_to_target=False):
        return self._made("negatives", int(policy.key), iteration)

    def dpo(self, policy, pairs, iteration, schedule, objective, *, earlier=None):
        earlier_key = earlier and int(earlier.key)
        return self._made("dpo", int(policy.key), int(pairs.key), iteration, NAMES[schedule], earlier_key)


def run(**changes):
    names = [field.name for field in fields(SelfPlayAlgorithm)]
    values = dict.fromkeys(names) | {
        **{"iterations": 2, "with_sft": True, "with_dpo": True, "accumulate_pairs": False},
        **{"negatives": SelfPlay(), "decoding": Greedy(), "objective": partial(dpo, beta=0.1)},
        **{"keep_pairs_equal_to_target": False, **SCHEDULES},
    }
    stages = LoggedStages()
    made = SelfPlayAlgorithm(**values | changes).train(stages, ModelState("0", None))
    models = [(label, iteration, int(state.key)) for label, iteration, state in made]
    return stages.calls, models


def test_the_model_before_the_iteration_writes_and_the_model_after_its_sft_is_tuned():
    calls, models = run()
    assert calls == [
        ("sft", 0, 0, "initial", 1),
        ("sft", 1, 1, "sft", 2),
        ("negatives", 1, 1, 3),
        ("dpo", 2, 3, 1, "dpo", None, 4),
        ("sft", 4, 2, "sft", 5),
        ("negatives", 4, 2, 6),
        ("dpo", 5, 6, 2, "dpo", None, 7),
    ]
    assert models == [("initial_sft", 0, 1), ("iteration_1", 1, 4), ("iteration_2", 2, 7)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"with_sft": False, "iterations": 1},
            [("negatives", 1, 1, 2), ("dpo", 1, 2, 1, "dpo", None, 3)],
        ),
        ({"with_dpo": False}, [("sft", 1, 1, "sft", 2), ("sft", 2, 2, "sft", 3)]),
        ({"iterations": 0}, []),
    ],
)
def test_an_arm_leaves_out_its_step_and_nothing_else(changes, expected):
    calls, _ = run(**changes)
    assert calls == [("sft", 0, 0, "initial", 1), *expected]


def test_negatives_are_named_where_some_are_made():
    names = [field.name for field in fields(SelfPlayAlgorithm)]
    values = dict.fromkeys(names) | {"with_dpo": True, "negatives": SelfPlay(), "decoding": Greedy()}
    labels = [SelfPlayAlgorithm(**values | {"iterations": count}).negatives_label for count in (0, 2)]
    assert labels == ["none", "SelfPlay Greedy"]


def test_accumulated_pairs_are_those_of_the_iteration_before():
    calls, _ = run(accumulate_pairs=True)
    assert [call for call in calls if call[0] == "dpo"] == [
        ("dpo", 2, 3, 1, "dpo", None, 4),
        ("dpo", 5, 6, 2, "dpo", 3, 7),
    ]
