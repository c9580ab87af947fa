import pytest

from sprec.data.catalog import Catalog
from sprec.data.examples import Example
from sprec.negatives import build_pairs

CATALOG = Catalog(tuple("ABCD"), ((),) * 4)
ROWS = [Example((0,), 1)] * 5
REJECTED = [["C", "X"], [], ["D"], ["B", "C"], ["C", "D"]]


def test_rows_with_too_few_titles_or_the_target_are_dropped_and_counted():
    frame, drops = build_pairs(ROWS, REJECTED, CATALOG, count=2, keep_equal_to_target=False)
    assert frame["answers"].to_list() == [["B", "C", "X"], ["B", "C", "D"]]
    assert frame["history"].to_list() == [[0], [0]]
    assert drops == {
        "no_title": 1,
        "too_few": 1,
        "equal_to_target": 1,
        "equal_to_target_kept": 0,
        "off_catalog_kept": 1,
    }


def test_rejected_title_equal_to_the_target_stays_where_asked_for():
    frame, drops = build_pairs(ROWS, REJECTED, CATALOG, count=2, keep_equal_to_target=True)
    assert frame["answers"].to_list()[1] == ["B", "B", "C"]
    assert (drops["equal_to_target"], drops["equal_to_target_kept"]) == (0, 1)


def test_no_pair_left_says_what_was_dropped():
    with pytest.raises(ValueError, match=r"of 1 rows \(equal_to_target 1\); choose other"):
        build_pairs(ROWS[:1], [["B"]], CATALOG, count=1, keep_equal_to_target=False)
