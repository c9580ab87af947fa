import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprec.data.examples import EXAMPLE_SCHEMA
from sprec.data.splits import (
    check_ratios,
    chronological,
    count_short_users,
    drop_repeated_targets,
    leave_one_out,
    sample_row_numbers,
    sliding_windows,
)


def interactions(rows):
    """Rows are (user, item, time)."""
    return pl.DataFrame(rows, schema={"user": pl.Int64, "item": pl.Int32, "time": pl.Int64}, orient="row")


def many(rows):
    """Return `rows` examples whose target is their number and whose time is ten times it."""
    columns = {
        "user": [0] * rows,
        "time": [10 * n for n in range(rows)],
        "history": [[n] for n in range(rows)],
    }
    return pl.DataFrame({**columns, "target": range(rows)}).select(
        pl.col(name).cast(kind) for name, kind in EXAMPLE_SCHEMA.items()
    )


def slow_windows(rows, low, high):
    """The definition, one user and one target at a time."""
    for user in sorted({row[0] for row in rows}):
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        for i in range(low, len(own)):
            yield user, own[i][2], [row[1] for row in own[max(0, i - high) : i]], own[i][1]


def test_every_item_with_enough_before_it_is_a_target_and_the_last_ones_are_its_history():
    rows = [(1, 10, 5), (1, 11, 6), (1, 12, 7), (1, 13, 8)]
    got = sliding_windows(interactions(rows), history_min=2, history_max=2)
    assert got.rows() == [(1, 7, [10, 11], 12), (1, 8, [11, 12], 13)]
    assert dict(got.schema) == {**EXAMPLE_SCHEMA, "user": pl.Int64(), "history": pl.List(pl.Int32)}


def test_histories_grow_from_the_least_to_the_most():
    rows = [(1, 10, 5), (1, 11, 6), (1, 12, 7), (1, 13, 8)]
    got = sliding_windows(interactions(rows), history_min=1, history_max=2)
    assert got["history"].to_list() == [[10], [10, 11], [11, 12]]


def test_items_of_one_moment_keep_their_order_in_the_file():
    rows = [(1, 12, 5), (2, 1, 0), (1, 11, 5), (1, 10, 5), (1, 9, 4)]
    got = sliding_windows(interactions(rows), history_min=3, history_max=3)
    assert got.rows() == [(1, 5, [9, 12, 11], 10)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 6)), max_size=40),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_windows_agree_with_their_definition(rows, low, more):
    got = sliding_windows(interactions(rows), history_min=low, history_max=low + more)
    assert got.rows() == list(slow_windows(rows, low, low + more))


@pytest.mark.parametrize(("low", "high"), [(0, 3), (3, 2)])
def test_history_bounds_must_make_sense(low, high):
    with pytest.raises(ValueError, match=f"1 <= history_min <= history_max, got {low} and {high}"):
        sliding_windows(interactions([]), history_min=low, history_max=high)


def test_users_without_any_window_are_counted():
    rows = [(1, 10, 5), (2, 10, 5), (2, 11, 6), (3, 10, 5), (3, 11, 6), (3, 12, 7)]
    assert count_short_users(interactions(rows), history_min=2) == 2
    assert sliding_windows(interactions(rows), history_min=2, history_max=2)["user"].to_list() == [3]


def test_of_ten_rows_the_first_eight_in_time_are_for_training():
    shuffled = many(10).sample(fraction=1, shuffle=True, seed=3)
    split = chronological(shuffled)
    assert [row.target for row in split.train] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [row.target for row in split.valid] == [8]
    assert [row.target for row in split.test] == [9]


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(19, (15, 2, 2)), (25, (20, 2, 3)), (94_736, (75_788, 9_474, 9_474))],
)
def test_borders_are_rounded_down(rows, sizes):
    split = chronological(many(rows))
    assert (len(split.train), len(split.valid), len(split.test)) == sizes


def test_the_released_sizes_of_ml_10m_follow_from_the_same_rounding():
    rows = 9_301_274
    assert (rows * 8 // 10, rows * 9 // 10 - rows * 8 // 10) == (7_441_019, 930_127)


def test_rows_of_one_moment_go_by_user_then_by_their_order():
    columns = {"user": [2, 1, 1, 2], "time": [5, 5, 5, 5], "history": [[1]] * 4, "target": [0, 1, 2, 3]}
    split = chronological(pl.DataFrame(columns), (2, 1, 1))
    assert [row.target for part in (split.train, split.valid, split.test) for row in part] == [1, 2, 0, 3]


@pytest.mark.parametrize(("rows", "name"), [(0, "train"), (5, "valid")])
def test_an_empty_split_is_an_error_that_names_it(rows, name):
    with pytest.raises(ValueError, match=f"the {name} split is empty: {rows} rows at 8:1:1; use more data"):
        chronological(many(rows))


def test_drops_travel_with_the_split():
    assert chronological(many(10), drops={"short_users": 3}).drops == {"short_users": 3}


def test_a_sample_has_distinct_rows_and_the_same_generator_draws_the_same():
    first, again, other = (sample_row_numbers(100, 30, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert len(set(first.tolist())) == 30
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert first.tolist() != sorted(first.tolist())


@pytest.mark.parametrize("size", [None, 5, 8])
def test_no_size_or_one_that_is_not_smaller_means_all_rows_in_order(size):
    assert sample_row_numbers(5, size, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [0, -1])
def test_a_sample_has_at_least_one_row(size):
    with pytest.raises(ValueError, match=f"cannot sample {size} rows; give at least 1, or null"):
        sample_row_numbers(5, size, np.random.default_rng(0))


def test_of_each_user_the_last_row_is_for_testing_and_the_one_before_for_validation():
    rows = [
        (1, 10, 50),
        (1, 11, 60),
        (1, 12, 70),
        (1, 13, 80),
        (1, 14, 90),
        (2, 20, 1),
        (2, 21, 2),
        (2, 22, 3),
    ]
    split = leave_one_out(sliding_windows(interactions(rows), history_min=1, history_max=1), drops={"x": 1})
    assert [(row.history, row.target) for row in split.train] == [((10,), 11), ((11,), 12)]
    assert [row.target for row in split.valid] == [21, 13]
    assert [row.target for row in split.test] == [22, 14]
    assert split.drops == {"x": 1}


def test_a_user_with_one_row_is_only_tested():
    rows = [(1, item, item) for item in range(5)] + [(2, 20, 1), (2, 21, 9)]
    split = leave_one_out(sliding_windows(interactions(rows), history_min=1, history_max=1))
    assert [row.target for row in split.test] == [4, 21]
    with pytest.raises(ValueError, match="the train split is empty: 1 rows at leave_one_out; use more data"):
        leave_one_out(sliding_windows(interactions(rows[5:]), history_min=1, history_max=1))


def test_rows_whose_target_is_in_their_history_are_repeats():
    rows = [(1, 10, 1), (1, 11, 2), (1, 10, 3), (1, 10, 4), (1, 12, 5)]
    kept = drop_repeated_targets(sliding_windows(interactions(rows), history_min=1, history_max=2))
    assert kept["target"].to_list() == [11, 12]


@pytest.mark.parametrize("ratios", [[8, 1], [8, 1, 1, 1], [0, 0, 0], [-8, 20, 1], []])
def test_ratios_that_are_no_three_shares_are_refused(ratios):
    with pytest.raises(ValueError, match=r"dataset\.ratios = \[.*\]; give three shares of 0 or more"):
        check_ratios(ratios)
    with pytest.raises(ValueError, match=r"dataset\.ratios"):
        chronological(many(10), ratios)
