"""D3's ranker with a real SASRec beside a tiny model."""

from functools import partial

import numpy as np
import pytest

from sprec.baselines.guided_ranker import CollaborativeModel, GuidedRanker
from sprec.baselines.sasrec import sasrec
from sprec.baselines.sequential import FitSettings
from sprec.data.readers.toy import toy_dataset
from sprec.generation.rankers import BeamRanker, RankingTask

SASREC = CollaborativeModel(partial(sasrec, width=16), FitSettings(epochs=2, windows=64))


@pytest.fixture(scope="module")
def toy():
    return toy_dataset()


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    place = tmp_path_factory.mktemp("assistant")
    SASREC.train(toy, place, rng=np.random.default_rng(0))
    return place


def ranked(ranker, model, toy, rows, k=5):
    return ranker(RankingTask(toy.catalog, rows, [], lambda: model, 4000), k=k)


def test_probabilities_come_back_from_the_folder_and_sum_to_one(toy, folder, tmp_path):
    rows, items = toy.split.test[:6], len(toy.catalog)
    found = SASREC.probabilities(folder, rows, items=items)
    assert found.shape == (6, items)
    np.testing.assert_allclose(found.sum(1), 1.0)
    SASREC.train(toy, tmp_path, rng=np.random.default_rng(0))
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_alpha_one_ranks_as_the_plain_search_and_asks_nobody(make, toy, folder):
    rows = toy.split.test[:4]
    alone = GuidedRanker(collaborative=SASREC, alpha=1.0, width=6)
    assert alone.assistant is None
    plain = ranked(BeamRanker(width=6), make(), toy, rows)
    np.testing.assert_array_equal(ranked(alone, make(), toy, rows), plain)
    np.testing.assert_array_equal(ranked(alone.with_assistant(folder), make(), toy, rows), plain)


def test_alpha_zero_and_beams_as_wide_as_the_catalogue_rank_as_sasrec_does(make, toy, folder):
    rows, items = toy.split.test[:3], len(toy.catalog)
    found = ranked(
        GuidedRanker(collaborative=SASREC, alpha=0.0, width=items).with_assistant(folder), make(), toy, rows
    )
    order = np.argsort(-SASREC.probabilities(folder, rows, items=items), axis=1)
    np.testing.assert_array_equal(found, order[:, :5])


def test_guidance_changes_the_ranking(make, toy, folder):
    rows = toy.split.test[:4]
    guided = ranked(GuidedRanker(collaborative=SASREC, alpha=0.2).with_assistant(folder), make(), toy, rows)
    assert (guided != ranked(BeamRanker(), make(), toy, rows)).any()


def test_one_beam_fills_one_place_and_a_longer_list_is_refused(make, toy):
    """Empty places count for no item: DivRatio and ORRatio would fall by the width alone."""
    rows, one = toy.split.test[:3], GuidedRanker(collaborative=SASREC, alpha=1.0, width=1)
    assert (ranked(one, make(), toy, rows, k=1) >= 0).all()
    line = r"width=1 leaves places of a list of 5 empty; take ranking.width=5 or more, or .*cutoffs=\[1\]"
    with pytest.raises(ValueError, match=line):
        ranked(one, make(), toy, rows, k=5)


def test_history_may_be_left_out(make, toy, folder):
    rows = toy.split.test[:4]
    ranker = GuidedRanker(collaborative=SASREC, alpha=0.5, width=3, exclude_history=True)
    found = ranked(ranker.with_assistant(folder), make(), toy, rows, k=3)
    assert all(not set(row.history) & set(items) for row, items in zip(rows, found.tolist(), strict=True))
    assert (found >= 0).all()


def test_described_says_what_the_model_depends_on_and_the_ranker_what_the_search_does():
    assert SASREC.describe() | {"fit": None} == {
        "model": "sprec.baselines.sasrec.sasrec",
        "width": 16,
        "fit": None,
    }
    assert SASREC.describe()["fit"]["windows"] == 64
    assert (
        repr(GuidedRanker(collaborative=SASREC, alpha=0.5))
        == "GuidedRanker(width=10, exclude_history=False, alpha=0.5)"
    )
