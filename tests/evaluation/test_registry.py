import numpy as np
import pytest

from sprec.evaluation.registry import METRICS, direction_of, label_of, split_key
from sprec.evaluation.scores import score_lists


def test_every_metric_is_computed_under_its_name():
    lists, target, popularity = np.array([[0, 1], [2, 0]]), np.array([1, 0]), np.array([9, 1, 1])
    scores = score_lists(lists, target, [[0], [1]], np.eye(3), (1, 2), popularity=popularity)
    of_lists = [metric for metric in METRICS.values() if metric.compute]
    assert list(scores.values) == [metric.key(k) for k in (1, 2) for metric in of_lists]


def test_names_labels_and_descriptions_are_distinct():
    for field in ("label", "description"):
        assert len({getattr(metric, field) for metric in METRICS.values()}) == len(METRICS)
    assert all(metric.name == name and "@" not in name for name, metric in METRICS.items())


@pytest.mark.parametrize(
    ("key", "parts", "label", "direction"),
    [
        ("ndcg@10", ("ndcg", 10), "NDCG@10", 1),
        ("tail_hr@5", ("tail_hr", 5), "tail HR@5", 1),
        ("dgu@1", ("dgu", 1), "DGU@1", -1),
        ("off_catalog", ("off_catalog", None), "off-catalogue", -1),
        ("novelty@5", ("novelty", 5), "novelty@5", 0),
    ],
)
def test_keys_are_read_as_metric_and_list_length(key, parts, label, direction):
    assert (split_key(key), label_of(key), direction_of(key)) == (parts, label, direction)
