from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.bench import Benchmark
from benchmarks.contests import QUICK, list_contests
from benchmarks.measure import Check, Contest, Sample, Work
from benchmarks.results import Figures
from benchmarks.setting import Setting, default_settings


class FakeMachine:
    threads = 1


class FakeSideProcess:
    """A side in this process."""

    def __init__(self, task, *, threads):
        self.take, self.open = task(), True

    def step(self):
        return Sample(self.take(), 1.0, 1)

    def close(self):
        self.open = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def side(units):
    return lambda: Work(units, 1)


def stepping(units):
    each = iter(units)
    return lambda: Work(next(each), 1)


def failing():
    raise RuntimeError("no such way")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr("benchmarks.bench.SideProcess", FakeSideProcess)
    speeds = {torch.float32: 50.0, torch.bfloat16: 100.0}
    monkeypatch.setattr("benchmarks.bench.peak_flops", lambda dtype, *, seconds: speeds[dtype])
    return Benchmark(QUICK, FakeMachine(), "")


def test_fastest_peer_is_met_and_one_that_cannot_run_is_left_out(bench):
    peers = {
        "slow": partial(side, 1),
        "fast": partial(side, 2),
        "broken": failing,
        "slower": partial(side, 1),
    }
    bench.patience = float("inf")
    bench._run_contest(
        Contest("step", "rows", partial(side, 8), peers, flops=lambda: 5.0, precision="float32")
    )
    (outcome,) = bench.figures.contests
    assert (outcome.peer, outcome.ratio, outcome.pairs) == ("fast", 4.0, 3)
    assert outcome.peak_share == pytest.approx(5 / 50)
    assert bench.figures.checks == []


def test_peer_with_the_best_median_counts_whichever_has_the_best_first_step(bench):
    made = {"first": [9, 2, 3, 2], "steady": [8, 4, 4, 4], "far": [6, 8, 8, 8], "third": [7, 8, 8, 8]}
    peers = {name: partial(stepping, units) for name, units in made.items()}
    bench.patience = float("inf")
    bench._run_contest(Contest("step", "rows", partial(side, 8), peers))
    (outcome,) = bench.figures.contests
    assert (outcome.peer, outcome.ratio, outcome.pairs) == ("steady", 2.0, 3)


def test_peers_far_behind_in_their_first_step_end(bench, monkeypatch):
    closed = []
    monkeypatch.setattr(FakeSideProcess, "close", lambda self: closed.append(self.take().units))
    peers = {"slow": partial(side, 2), "fast": partial(side, 4), "close": partial(side, 3)}
    contest = Contest("step", "rows", partial(side, 8), peers)
    bench.patience = float("inf")
    with ExitStack() as stack:
        assert list(bench._finalists(contest, stack)) == ["fast", "close"]
        assert closed == [2]
        del peers["close"]
        assert list(bench._finalists(contest, stack)) == ["fast"]


@pytest.mark.parametrize(("estimate", "passed"), [(1.4, True), (1.6, False), (0.6, False), (0.7, True)])
def test_what_the_plan_says_stands_beside_the_seconds_of_a_step(bench, estimate, passed):
    bench._run_contest(
        Contest("step", "rows", partial(side, 8), {"it": partial(side, 1)}, estimate_seconds=lambda: estimate)
    )
    (check,) = bench.figures.checks
    assert check.passed is passed
    assert check.value == pytest.approx(max(estimate, 1 / estimate))


def test_sizes_are_taken_in_turn_and_each_has_its_median_and_its_first_peak(bench, monkeypatch):
    bench.sizes = replace(QUICK, repeats=3)
    assert bench._schedule([1, 2]) == [1, 1, 2, 1, 2, 1, 2]
    seconds = iter([9.0, 1.0, 2.0, 5.0, 6.0, 1.5, 2.5])  # the machine is slow in the second round
    peaks = iter([1, 3, 4, 4, 4, 4, 5])
    monkeypatch.setattr(FakeSideProcess, "step", lambda self: Sample(self.take(), next(seconds), next(peaks)))
    bench._measure_growth("a step", "row", [1, 2], partial(side, 1))
    (growth,) = bench.figures.growths
    assert growth.seconds == (1.5, 2.5)
    assert growth.peak_bytes == (3, 5)


def test_pairs_are_fewer_where_patience_ends_and_one_at_least(bench):
    assert list(bench._repeat(lambda: 1, 3)) == [1]
    bench.patience = float("inf")
    assert list(bench._repeat(lambda: 1, 3)) == [1, 1, 1]


def test_rows_after_the_last_minute_are_named(bench):
    bench.start -= 60 * QUICK.minutes
    bench._measure_row("late", failing, 1)
    assert bench.results.left_out == ["late: the 8 minutes were over"]


def test_row_that_fails_is_named_and_the_next_one_is_measured(bench):
    def half():
        bench.figures.checks.append(Check("half", 1.0, None))
        failing()

    bench.order = ["broken", "sound"]
    bench._measure_row("broken", half, 2)
    bench._measure_row("sound", lambda: bench.figures.checks.append(Check("whole", 2.0, None)), 1)
    assert bench.results.left_out == ["broken: no such way"]
    assert bench.results.rows == {"sound": Figures(checks=[Check("whole", 2.0, None)])}


def test_rows_that_are_there_are_measured_again_only_where_a_word_chooses_them(bench, monkeypatch):
    def measured(only, value):
        bench.only = only
        rows = [(name, lambda: bench.figures.checks.append(Check("", value, None))) for name in "AbC"]
        monkeypatch.setattr(bench, "_contest_rows", lambda *_: rows)
        monkeypatch.setattr(bench, "_growth_rows", lambda *_: [])
        monkeypatch.setattr(bench, "_check_rows", lambda *_: [])
        bench.run()
        return {name: row.checks[0].value for name, row in bench.results.rows.items()}

    saved = []
    bench.save = lambda: saved.append(list(bench.results.rows))
    assert measured("B", 1.0) == {"b": 1.0}
    assert bench.results.left_out[-2:] == ["A: not chosen", "C: not chosen"]
    values = measured("", 2.0)
    assert (list(values), values) == (["A", "b", "C"], {"A": 2.0, "b": 1.0, "C": 2.0})
    assert saved == [["b"], ["A", "b"], ["A", "b", "C"]]
    assert measured("c", 3.0) == {"A": 2.0, "b": 1.0, "C": 3.0}


def test_without_units_for_bf16_rows_are_in_float32_once_and_what_is_missing_is_named(bench, monkeypatch):
    monkeypatch.setattr("benchmarks.bench.has_bf16", lambda device: False)
    assert bench._bf16_setting() is None
    (reason,) = bench.results.left_out
    assert reason.startswith("rows in bf16: this processor multiplies bfloat16 in software alone")
    single = Setting(default_settings(bf16=False, threads=1), rows=1)
    rows = list_contests(single, single, Path("tuned"), QUICK)
    assert [contest.name for contest in rows if contest.at_least] == [
        "SFT step, float32",
        "DPO step, float32",
        "S-DPO step, 3 negatives, float32",
        "self-play against released settings, float32",
        "self-play against our stop rule, float32",
        "evaluation, 1000 users × 10681 items",
        "SPRec iteration, float32",
    ]
    assert [contest.at_least for contest in rows[:2]] == [6.0, 8.0]
    assert {contest.precision for contest in rows if contest.flops} == {"float32"}


def test_with_units_steps_are_in_both_formats():
    half, single = (Setting(default_settings(bf16=bf16, threads=1), rows=1) for bf16 in (True, False))
    rows = list_contests(half, single, Path("tuned"), QUICK)
    assert [(contest.name, contest.precision, contest.at_least) for contest in rows[:4]] == [
        ("SFT step, bf16", "bf16", 4.0),
        ("SFT step, float32", "float32", 6.0),
        ("DPO step, bf16", "bf16", 6.0),
        ("DPO step, float32", "float32", 8.0),
    ]


def test_settings_that_go_to_processes_carry_no_loaded_model():
    single = Setting(default_settings("dataset=toy", "base_llm=tiny", bf16=False, threads=1), rows=1)
    rows = [contest for contest in list_contests(single, single, Path("tuned"), QUICK) if contest.flops]
    assert rows
    assert all(contest.flops() > 0 for contest in rows[:1])
    assert "model" not in vars(single)
