"""Runs with recommendation lists drawn at random, scored as the session scores them."""

import numpy as np

from sprec.evaluation.metrics import genre_masses, genre_share
from sprec.evaluation.scores import score_lists
from sprec.records.encoded_ids import encode_ids
from sprec.records.recorded_items import RecordedItem
from sprec.records.run_record import Evaluation, RunRecord, SampledUser

GENRES = ("Action", "Comedy", "Crime", "Drama", "Romance", "War")
ITEMS = 300


def catalogue(items=ITEMS, seed=0):
    """Return the items, and each one's mass per genre."""
    rng = np.random.default_rng(seed)
    names = [sorted(rng.choice(GENRES, rng.integers(0, 4), replace=False).tolist()) for _ in range(items)]
    entries = {
        str(i): RecordedItem(f"Item {i} (1995)", tuple(names[i]), int(9 * items / (i + 1)))
        for i in range(items)
    }
    return entries, genre_masses(names, GENRES)


def ranked(rng, users, *, skew, target=None, hits=0.0, items=ITEMS, k=5):
    """Return lists of k distinct items, popular ones more often the larger `skew`; some hold their target."""
    weight = np.log(1 / np.arange(1, items + 1) ** skew)
    lists = np.argsort(-(weight + rng.gumbel(size=(users, items))), axis=1)[:, :k]
    lucky = rng.random(users) < hits
    if target is not None:
        lists[lucky, rng.integers(0, k, users)[lucky]] = target[lucky]
    return lists


def with_lists(record: RunRecord, sets, *, users=200, items=ITEMS, test_seed=0) -> RunRecord:
    """Return the record with an evaluation per (label, iteration, lists), scored."""
    known, masses = catalogue(items)
    rng = np.random.default_rng(test_seed)
    target = rng.integers(0, items, users)
    histories = rng.integers(0, items, (users, 10))
    popularity = np.array([each.popularity for each in known.values()])
    evaluations = []
    for label, iteration, ids in sets:
        scores_of_lists = score_lists(ids, target, histories, masses, popularity=popularity)
        scores = {**scores_of_lists.values, "off_catalog": 0.1}
        way = "popularity" if iteration is None else "grounded"
        way = "all items" if label in ("sasrec", "most_popular") and iteration == 0 else way
        titles = () if iteration is None else ("Item 1 (1995)",) * 20
        counted = (scores_of_lists.n, scores_of_lists.n_in_catalog)
        evaluations.append(
            Evaluation(label, iteration, *counted, scores, way, "test", encode_ids(ids), titles)
        )
    fields = {
        "targets": encode_ids(target[:, None]),
        "items": known,
        "history_genres": dict(zip(GENRES, genre_share(histories, masses).tolist(), strict=True)),
        "sampled_users": tuple(
            SampledUser(row, tuple(histories[row].tolist()), int(target[row])) for row in range(20)
        ),
        "evaluations": tuple(evaluations),
    }
    return RunRecord(**{**record.__dict__, **fields})


def targets(users=200, items=ITEMS, test_seed=0):
    return np.random.default_rng(test_seed).integers(0, items, users)
