"""Stages that write and rank titles go on from the groups that were finished before a kill."""

import json

import numpy as np
import pytest

from sprec.data.readers.toy import toy_dataset
from sprec.generation import decoding, finished_groups
from sprec.generation.decoding import Sampled, search_titles, write_titles
from sprec.generation.finished_groups import compute_group, resume_groups
from sprec.generation.grounding import CharacterNgrams
from sprec.generation.rankers import BeamRanker
from sprec.generation.title_trie import TitleTrie
from sprec.negatives import SelfPlay
from sprec.seeds import stream
from sprec.store.store import Store
from sprec.training.context import ModelState, StageContext, TestSetup
from sprec.training.ranking_stages import RankingStages
from sprec.training.row_sampling import RowSampling


class Killed(BaseException):
    """What stands for a kill: nothing catches it."""


@pytest.fixture
def every_group(monkeypatch):
    """Save each group as soon as it is finished."""
    monkeypatch.setattr(finished_groups, "FLUSH_SECONDS", 0.0)


@pytest.fixture
def counted(monkeypatch):
    """Return the groups computed so far; the one numbered `dies` is a kill."""
    calls = {"write": 0, "search": 0, "dies": None}

    def wrap(name, function):
        def call(*args):
            if calls["dies"] == (name, calls[name]):
                raise Killed
            calls[name] += 1
            return function(*args)

        return call

    monkeypatch.setattr(decoding, "_write_group", wrap("write", decoding._write_group))
    monkeypatch.setattr(decoding, "search_prompts", wrap("search", decoding.search_prompts))
    return calls


def prompts_of(model, catalog):
    return [model.encode(catalog.titles[i : i + 2 + i % 3]).prompt for i in range(6)]


def test_titles_and_beams_are_equal_and_computed_once(make, catalog, tmp_path, every_group, counted):
    model = make()
    prompts, trie = prompts_of(model, catalog), TitleTrie.of(list(map(model.encode_answer, catalog.titles)))

    def both():
        titles = write_titles(model, prompts, Sampled(), np.random.default_rng(1), batch_tokens=150)
        return titles, *search_titles(model, prompts, trie, k=3, batch_tokens=200)

    titles, ids, scores = both()
    first = counted["write"], counted["search"]
    assert min(first) > 1
    with resume_groups(tmp_path / "new"):
        both()
    with resume_groups(tmp_path / "new"):
        again = both()
    assert (counted["write"], counted["search"]) == (2 * first[0], 2 * first[1])
    assert again[0] == titles
    assert again[1].tobytes() == ids.tobytes()
    assert again[2].tobytes() == scores.tobytes()


def test_only_what_was_lost_is_computed_again(tmp_path, every_group):
    with resume_groups(tmp_path):
        assert compute_group(lambda: [0.1, 1e-300], name="a") == [0.1, 1e-300]
        compute_group(lambda: 2, name="b")
    damaged = next(file for file in tmp_path.iterdir() if list(json.loads(file.read_text()).values()) != [2])
    damaged.write_text(damaged.read_text()[:-4])
    with resume_groups(tmp_path):
        assert compute_group(lambda: "computed again", name="a") == "computed again"
        assert compute_group(lambda: "not asked", name="b") == 2
    assert compute_group(lambda: "outside", name="b") == "outside"


def stages_in(folder, make):
    data = toy_dataset().sampled(None, 4, 12, lambda name: stream(0, name))
    context = StageContext(data, make, CharacterNgrams(8), 0, 400, {}, {})
    return RankingStages(context, Store(folder), RowSampling(8, 12), on_result=lambda *_: None)


@pytest.mark.parametrize("dies", [("search", 2), ("write", 1)])
def test_killed_evaluation_goes_on_and_ends_with_the_same_bytes(make, tmp_path, every_group, counted, dies):
    state, test = ModelState("a", None), TestSetup(BeamRanker(width=2), "test", 2)
    expected = stages_in(tmp_path / "whole", make).evaluate(state, "x", test) / "predictions.parquet"
    total = counted["search"] + counted["write"]
    counted.update(search=0, write=0, dies=dies)
    with pytest.raises(Killed):
        stages_in(tmp_path / "killed", make).evaluate(state, "x", test)
    assert list((tmp_path / "killed").rglob("groups-*.json"))
    counted["dies"] = None
    resumed = stages_in(tmp_path / "killed", make).evaluate(state, "x", test) / "predictions.parquet"
    assert resumed.read_bytes() == expected.read_bytes()
    assert counted["search"] + counted["write"] == total
    assert not list((tmp_path / "killed").rglob("groups-*.json"))


def test_killed_self_play_goes_on_and_ends_with_the_same_bytes(make, tmp_path, every_group, counted):
    state = ModelState("a", None)

    def pairs(folder):
        result = stages_in(folder, make).negatives(state, 1, SelfPlay(), Sampled())
        return (result.folder / "pairs.parquet").read_bytes(), (result.folder / "drops.json").read_bytes()

    expected, total = pairs(tmp_path / "whole"), counted["write"]
    counted.update(write=0, dies=("write", total - 1))
    with pytest.raises(Killed):
        pairs(tmp_path / "killed")
    counted["dies"] = None
    assert pairs(tmp_path / "killed") == expected
    assert counted["write"] == total
