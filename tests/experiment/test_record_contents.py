"""What a record keeps beside scores."""

import numpy as np
import polars as pl
import pytest

from sprec.data.readers.toy import toy_dataset
from sprec.experiment.record_contents import (
    history_genres,
    items_of_users,
    recorded_items,
    sample_users,
    thin_curve,
)


@pytest.fixture(scope="module")
def data():
    return toy_dataset()


def test_shown_users_are_spread_over_all_rows(data):
    rows = list(data.split.test)[:39]
    found = sample_users(rows)
    assert [each.row for each in found] == list(range(0, 39, 2))
    assert (found[1].history, found[1].target) == (rows[2].history, rows[2].target)
    assert len(sample_users(rows[:3])) == 3
    titles = {each.title for each in items_of_users(data, found[1:2]).values()}
    assert titles == {data.catalog.titles[item] for item in (*rows[2].history, rows[2].target)}


def test_items_have_their_selected_genres_only(data):
    first = data.catalog.genres[2][0]
    found = recorded_items(data, np.array([[2, -1]]), np.array([2]))
    assert list(found) == ["2"]
    assert (found["2"].title, found["2"].popularity) == (data.catalog.titles[2], data.popularity[2])
    assert set(found["2"].genres) <= set(data.genres)
    assert first in found["2"].genres or first not in data.genres


def test_shares_of_genres_sum_to_one(data):
    found = history_genres(data, list(data.split.test))
    assert list(found) == list(data.genres)
    assert sum(found.values()) == pytest.approx(1)


def test_long_curve_is_thinned_and_keeps_its_ends(tmp_path):
    values = [1 / (step + 3) for step in range(1000)]
    pl.DataFrame({"loss": values}).write_parquet(tmp_path / "curve.parquet")
    found = thin_curve(tmp_path / "curve.parquet")["loss"]
    assert len(found) == 200
    assert (found[0], found[-1]) == (0.333333, 0.000998004)


def test_no_validation_loss_of_a_long_curve_is_thinned_out(tmp_path):
    """Of 1000 steps, which have 200 points, each 250th was evaluated and the 500th kept."""
    curve = [{"loss": 1.0} for _ in range(1000)]
    for step, loss in ((250, 3.0), (500, 1.0), (750, 2.0), (1000, 2.5)):
        curve[step - 1]["validation_loss"] = loss
    curve[499]["kept_step"] = 500
    pl.DataFrame(curve, infer_schema_length=None).write_parquet(tmp_path / "curve.parquet")
    found = thin_curve(tmp_path / "curve.parquet")
    assert (found["validation_loss"], found["kept_step"]) == ((3.0, 1.0, 2.0, 2.5), (500.0,))
    assert len(found["loss"]) == 200
