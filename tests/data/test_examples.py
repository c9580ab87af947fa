import polars as pl

from sprec.data.examples import EXAMPLE_SCHEMA, Example, Examples, Split

ROWS = [Example((1, 2, 3), 4), Example((5,), 6), Example((2, 2), 2)]


def test_rows_come_back_as_they_went_in():
    examples = Examples.from_rows(ROWS)
    assert list(examples) == ROWS
    assert examples[1] == ROWS[1]
    assert examples[-1] == ROWS[-1]
    assert len(examples) == 3


def test_the_frame_has_the_schema_whatever_types_came_in():
    frame = pl.DataFrame({"target": [4], "history": [[1, 2]], "user": [7], "time": [99], "more": ["x"]})
    assert dict(Examples(frame).frame.schema) == {
        **EXAMPLE_SCHEMA,
        "user": pl.Int64(),
        "history": pl.List(pl.Int32),
    }


def test_rows_without_users_and_times_hold_nulls():
    assert Examples.from_rows(ROWS).frame["user"].null_count() == 3


def test_slices_and_takes_are_examples_again():
    examples = Examples.from_rows(ROWS)
    assert list(examples[1:]) == ROWS[1:]
    assert list(examples.take([2, 0])) == [ROWS[2], ROWS[0]]


def test_no_rows_make_an_empty_sequence():
    assert len(Examples.from_rows([])) == 0
    assert list(Examples.from_rows([])) == []


def test_a_split_counts_no_drops_unless_told():
    empty = Examples.from_rows([])
    assert Split(empty, empty, empty).drops == {}
