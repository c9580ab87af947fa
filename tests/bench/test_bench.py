from functools import partial

import pytest

from sprec.bench.bench import Bench
from sprec.bench.contests import QUICK
from sprec.bench.measure import Contest, Sample, Work


class FakeMachine:
    threads, peak_bf16, peak_float32 = 1, 100.0, 50.0


class FakeWorker:
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


def failing():
    raise RuntimeError("no such way")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr("sprec.bench.bench.Worker", FakeWorker)
    return Bench(QUICK, FakeMachine(), "")


def test_fastest_peer_is_met_and_one_that_cannot_run_is_left_out(bench):
    peers = {
        "slow": partial(side, 1),
        "fast": partial(side, 2),
        "broken": failing,
        "slower": partial(side, 1),
    }
    bench.patience = float("inf")
    bench._meet(Contest("step", "rows", partial(side, 8), peers, flops=lambda: 5.0, precision="float32"))
    (outcome,) = bench.results.contests
    assert (outcome.peer, outcome.ratio, outcome.pairs) == ("fast", 4.0, 3)
    assert outcome.peak_share == pytest.approx(5 / 50)
    assert bench.results.checks == []


@pytest.mark.parametrize(("estimate", "passed"), [(1.4, True), (1.6, False), (0.6, False), (0.7, True)])
def test_what_the_plan_says_stands_beside_the_seconds_of_a_step(bench, estimate, passed):
    bench._meet(Contest("step", "rows", partial(side, 8), {"it": partial(side, 1)}, priced=lambda: estimate))
    (check,) = bench.results.checks
    assert check.passed is passed
    assert check.value == pytest.approx(max(estimate, 1 / estimate))


def test_pairs_are_fewer_where_patience_ends_and_one_at_least(bench):
    assert list(bench._several(lambda: 1, 3)) == [1]
    bench.patience = float("inf")
    assert list(bench._several(lambda: 1, 3)) == [1, 1, 1]


def test_rows_after_the_last_minute_are_named(bench):
    bench.start -= 60 * QUICK.minutes
    bench._row("late", failing, 1)
    assert bench.results.left_out == ["late: the 8 minutes were over"]


def test_row_that_fails_is_named_and_the_next_one_is_measured(bench):
    bench._row("broken", failing, 2)
    bench._row("sound", lambda: bench.results.checks.append(1), 1)
    assert (bench.results.left_out, bench.results.checks) == (["broken: no such way"], [1])
