"""Recommenders of item ids stop on all validation rows: on a sample of them the epoch would be luck.

Test rows would choose the epoch that suits them best.
"""

from functools import partial

import numpy as np
import pytest

from sprec.baselines import guided_ranker
from sprec.baselines.guided_ranker import CollaborativeModel
from sprec.baselines.recommenders import SequentialRecommender
from sprec.baselines.sasrec import sasrec
from sprec.baselines.sequential import FitSettings
from sprec.data.readers.toy import toy_dataset


class Fitted(Exception):
    """Carries the rows that a model was to be fitted on, so that nothing has to be trained."""


def sampled_toy():
    return toy_dataset().sampled(None, 5, 7, lambda _: np.random.default_rng(0))


def refuse(model, train, valid, *rest, **more):
    raise Fitted(train, valid)


def test_a_recommender_fits_training_rows_and_stops_on_all_validation_rows(monkeypatch):
    monkeypatch.setattr("sprec.baselines.sequential.fit", refuse)
    data = sampled_toy()
    recommender = SequentialRecommender(partial(sasrec, width=16), FitSettings())
    with pytest.raises(Fitted) as fitted:
        recommender(data, data.split.test, k=5, rng=np.random.default_rng(0))
    assert fitted.value.args == (data.split.train, data.stopping_rows)


def test_a_guide_fits_training_rows_and_stops_on_all_validation_rows(monkeypatch, tmp_path):
    monkeypatch.setattr(guided_ranker, "fit", refuse)
    data = sampled_toy()
    guide = CollaborativeModel(partial(sasrec, width=16), FitSettings())
    with pytest.raises(Fitted) as fitted:
        guide.train(data, tmp_path, rng=np.random.default_rng(0))
    assert fitted.value.args == (data.split.train, data.stopping_rows)
