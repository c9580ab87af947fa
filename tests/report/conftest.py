from collections.abc import Callable

import pytest

from sprec.records.run_record import DatasetEntry, Evaluation, RowCounts, RunRecord, WeightsEntry

METRICS = ("hr", "ndcg", "div_ratio", "or_ratio", "mgu", "dgu")


def scores(value: float) -> dict[str, float]:
    """Every metric at 1 scores `value`, at 5 five times that; a tenth of the titles is off-catalogue."""
    return {f"{name}@{k}": value * k for k in (1, 5) for name in METRICS} | {"off_catalog": 0.1}


def evaluation(label, iteration, value, *, n=1000, ranking="grounded", split="test"):
    return Evaluation(label, iteration, n, n, scores(value), ranking, split)


def evaluations(*values: float, n: int = 1000) -> tuple[Evaluation, ...]:
    """Most popular scores .03, the initial SFT .01, iteration i the i-th value."""
    return (
        evaluation("most_popular", None, 0.03, n=n, ranking="popularity"),
        evaluation("initial_sft", 0, 0.01, n=n),
        *(evaluation(f"iteration_{i}", i, value, n=n) for i, value in enumerate(values, start=1)),
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., RunRecord]:
    def build(method="sprec", negatives="self_play", seed=0, **changes) -> RunRecord:
        fields = {
            "command": f"python -m sprec.run method={method} seed={seed}",
            "started": f"2026-01-01T00:00:0{seed}+00:00",
            "config": {"seed": seed, "dpo": {"beta": 0.1}},
            "commit": "abcdef0123456789",
            "dirty": False,
            "versions": {},
            "threads": 2,
            "device": "cpu",
            "precision": "bf16",
            "dataset": DatasetEntry("movie_lens", "0123456789abcdef", 4, RowCounts(3, 2, 1)),
            "weights": WeightsEntry("smollm2_135m", "fedcba9876543210"),
            "evaluations": evaluations(0.02),
            "status": "finished",
        }
        return RunRecord(method=method, negatives=negatives, seed=seed, **(fields | changes))

    return build
