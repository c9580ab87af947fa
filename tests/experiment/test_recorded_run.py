"""A run is watched while it goes on, under one name per curve, and a stored stage is sent whole."""

import logging

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.experiment.config import validate_settings
from sprec.experiment.recorded_run import RecordedRun, tracked_name
from sprec.experiment.session import Session
from sprec.records.provenance import process_provenance
from sprec.records.tracking import Silent
from sprec.run import CONF

TOY = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.threads=1", "method=random_negatives"]
TOY += ["budget.sft_rows=48", "budget.iteration_rows=16", "budget.test_rows=4", "budget.iterations=2"]
TOY += ["budget.initial.epochs=1", "trainer.device=cpu", "ranking=beam"]


@pytest.fixture
def events(monkeypatch):
    """Return what is said to the tracker and when stages are done, in order."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    said, done = [], RecordedRun._record_stage
    monkeypatch.setattr(
        Silent, "log", lambda self, scores, *, step, axis: said.append((axis, step, sorted(scores)[0]))
    )
    monkeypatch.setattr(
        Silent, "start", lambda self, **what: said.append(("start", what["name"], what["notes"]))
    )
    monkeypatch.setattr(
        RecordedRun,
        "_record_stage",
        lambda self, label, *rest: (said.append(("done", label, None)), done(self, label, *rest)),
    )
    yield said
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def run(folder, words=TOY):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [*words]), resolve=True)
    return Session(validate_settings(config), folder, command="python -m sprec.run HERE").run()


def steps(events, axis):
    return [step for name, step, _ in events if name == axis]


def test_steps_are_sent_while_their_stage_runs_and_once(events, sprec_home, tmp_path):
    run(tmp_path / "first")
    first = events.copy()
    assert first[0] == ("start", "random negatives, seed 0", "python -m sprec.run HERE")
    begun, ended = (
        next(place for place, event in enumerate(first) if event[:2] == wanted)
        for wanted in (("initial_sft/step", 1), ("done", "initial sft"))
    )
    assert begun < ended
    assert steps(first, "initial_sft/step") == [1, 2, 3]
    assert steps(first, "sft/step") == [1, 2]  # one in each iteration
    assert steps(first, "dpo/step") == [1, 2, 3, 4]
    events.clear()
    run(tmp_path / "second")  # from the store: sent when the stage is read
    assert steps(events, "initial_sft/step") == [1, 2, 3]
    assert steps(events, "dpo/step") == [1, 2, 3, 4]
    assert events.index(("done", "initial sft", None)) < min(
        place for place, event in enumerate(events) if event[0] == "initial_sft/step"
    )


def test_a_sweep_says_once_in_a_job_that_another_commit_made_its_stages(
    events, sprec_home, tmp_path, monkeypatch, caplog
):
    run(tmp_path / "first")
    later = {**process_provenance(), "commit": "f" * 40, "dirty": False}
    monkeypatch.setattr("sprec.experiment.session.process_provenance", lambda: later)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        record = run(tmp_path / "second")
    said = [line for line in caplog.records if ", made by commit " in line.getMessage()]
    assert len(said) == len(record.stages) > 5
    assert [getattr(line, "headline", False) for line in said] == [True] + [False] * (len(said) - 1)


def test_a_runs_name_says_what_differs(sprec_home, tmp_path):
    record = run(tmp_path)
    choices = ("seed=0", "method=random_negatives", "budget.dpo.learning_rate=1e-4")
    assert tracked_name(record, choices).endswith(", budget.dpo.learning_rate=1e-4, seed 0")
    assert "method=" not in tracked_name(record, choices)


def test_data_without_genres_run_to_their_end_without_the_metrics_of_genres(sprec_home, tmp_path):
    rng = np.random.default_rng(0)
    lines = [
        f"{user},{item},{10**9 + time}" for user in range(30) for time, item in enumerate(rng.permutation(12))
    ]
    (tmp_path / "interactions.csv").write_text("\n".join(["user,item,time", *lines]))
    titles = [f"{item},Title {item}" for item in range(12)]
    (tmp_path / "items.csv").write_text("\n".join(["item,title", *titles]))
    words = ["dataset=custom", f"dataset.path={tmp_path}", "dataset.reader.genres=null"]
    record = run(tmp_path / "run", [*words, "dataset.history_min=2", *TOY[1:], "budget.iterations=1"])
    assert record.status == "finished"
    for one in record.evaluations:
        assert {"hr@5", "or_ratio@5"} <= one.scores.keys()
        assert not any(key.startswith(("mgu", "dgu")) for key in one.scores)
