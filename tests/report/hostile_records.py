"""Records with lists, users and curves, whose titles and names try to break out of the page."""

from dataclasses import replace

import numpy as np

from sprec.records.encoded_ids import encode_ids
from sprec.records.recorded_items import RecordedItem
from sprec.records.run_record import Evaluation, SampledUser, StageEntry

TITLES = (
    "<script>document.title='broken'</script>",
    "\"Quoted\" & 'single' </bdi></style>",
    "🎬 Emoji 👩‍🚀 (2020)",
    "שלום עולם (2001)",
    "مرحبا <img src=http://evil.example/x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "Plain Title (1995)",
    "Another One, The (1996)",
)
GENRES = ("Crime & <b>Noir</b>", 'Sci-"Fi"', "درام")
ITEMS = {str(i): RecordedItem(title, (GENRES[i % 3],), 10 - i) for i, title in enumerate(TITLES)}
TARGETS = np.array([[6], [3], [6], [7], [0], [1]])
LISTS = {
    0: np.array([[0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [1, 0]]),
    1: np.array([[6, 1], [0, 3], [2, 6], [0, 4], [3, 5], [1, 0]]),
}
"""By iteration: lists of 2 for 6 users. Item 0 comes first five times of six, then twice."""
ITERATED = (("initial_sft", 0, 0.1), ("iteration_1", 1, 0.3))


def scores(value, k):
    metrics = {"hr": value, "ndcg": value / 2, "div_ratio": value, "or_ratio": 0.9 - value}
    return {f"{name}@{k}": each for name, each in (metrics | {"mgu": value / 3, "dgu": value / 2}).items()}


def evaluated(seed=0):
    return tuple(
        Evaluation(
            *(label, iteration, 6, 6, scores(value + seed / 100, 1) | scores(value + seed / 90, 2)),
            *("beam", "test"),
            lists=encode_ids(LISTS[iteration]),
            written=(TITLES[LISTS[iteration][0, 0]], "No Such Film"),
        )
        for label, iteration, value in ITERATED
    )


def full(make, method="sprec", seed=0, **changes):
    """Return a record with everything that a page can show."""
    record = make(method, seed=seed, evaluations=evaluated(seed))
    fields = {
        "targets": encode_ids(TARGETS),
        "items": ITEMS,
        "history_genres": dict(zip(GENRES, (0.5, 0.3, 0.2), strict=True)),
        "sampled_users": (SampledUser(0, (1, 2, 7), 6), SampledUser(4, (3, 4), 0)),
        "curves": {
            "initial sft": {"loss": (3.0, 2.0, 1.0)},
            "dpo 1": {"loss": (0.69, 0.5), "margin": (0.0, 1.0)},
            "dpo 2": {"loss": (0.69, 0.6), "margin": (0.0, 0.5)},
        },
        "stages": (StageEntry("sft", "initial sft", "a1b2c3", 12.34, False),),
        "drops": {"negatives 1": {"off_catalog": 3, "no_title": 0}},
        "versions": {"sprec": "0.1.0", "torch": "2.13.0"},
        "finished": "2026-01-01T00:10:00+00:00",
    }
    return replace(record, **(fields | changes))
