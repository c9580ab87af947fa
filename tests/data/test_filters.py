import polars as pl
import pytest

from sprec.data.catalog import Catalog
from sprec.data.filters import Filters, k_core, select_window
from sprec.data.interactions import INTERACTION_SCHEMA, Interactions

YEARS = {year: 86_400 * (365 * (year - 1970) + (year - 1969) // 4) for year in range(2010, 2020)}


def interactions(*rows):
    """Rows are (user, item) or (user, item, time)."""
    full = [(row[0], row[1], row[2] if len(row) > 2 else 0, 5.0) for row in rows]
    catalog = Catalog(tuple("ABCDEFGH"), tuple((label,) for label in "abcdefgh"))
    frame = pl.DataFrame(full, schema=INTERACTION_SCHEMA, orient="row")
    return Interactions(frame, catalog, {"no_title": 1}, "reviews.json", "meta.json")


def test_no_filter_changes_nothing():
    read = interactions((1, 0), (2, 3))
    assert Filters()(read) == (read, {})


def test_the_core_is_what_is_left_when_nobody_and_nothing_is_rare_any_more():
    # Item 3 goes first, then user 3 has one interaction left and goes, then item 2 goes.
    rows = [(1, 0), (1, 1), (2, 0), (2, 1), (1, 2), (3, 2), (3, 3)]
    assert k_core(interactions(*rows).frame, 2).rows() == interactions(*rows[:4]).frame.rows()
    assert k_core(interactions(*rows).frame, 3).is_empty()
    assert k_core(interactions(*rows).frame, 0).height == 7


def test_what_the_core_leaves_out_leaves_the_catalogue_too_and_is_counted():
    read = interactions((1, 2), (1, 5), (2, 2), (2, 5), (1, 7), (3, 5))
    left, drops = Filters(core=2)(read)
    assert (left.catalog.titles, left.catalog.genres) == (("C", "F"), (("c",), ("f",)))
    assert left.frame.select("user", "item").rows() == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert left.frame.schema == read.frame.schema
    assert drops == {"outside_window": 0, "core_interactions": 2, "core_users": 1, "core_items": 1}
    assert left.drops == {"no_title": 1}


def test_an_item_that_occurs_once_is_said_with_file_and_field(caplog):
    with caplog.at_level("INFO"):
        Filters(core=2)(interactions((1, 2), (1, 2), (1, 7)))
    assert caplog.messages == ["reviews.json: field 'item': 'H' occurs 1 times; core = 2 leaves out 1 items"]


def test_the_window_holds_its_first_day_and_not_its_end():
    rows = [(1, 0, YEARS[2015] - 1), (1, 1, YEARS[2015]), (1, 2, YEARS[2016] - 1), (1, 3, YEARS[2016])]
    left, drops = Filters(since="2015-01-01", until="2016-01-01")(interactions(*rows))
    assert left.catalog.titles == ("B", "C")
    assert drops["outside_window"] == 2
    assert select_window(interactions(*rows).frame, None, None).height == 4


def test_the_window_moves_back_by_years_until_enough_items_are_left():
    rows = [(1, year - 2010, YEARS[year]) for year in range(2012, 2017)]
    read = interactions(*rows)
    for items_min, titles in ((0, ("G",)), (1, ("G",)), (3, ("E", "F", "G"))):
        filters = Filters(since="2016-01-01", until="2017-01-01", items_min=items_min)
        assert filters(read)[0].catalog.titles == titles
    with pytest.raises(
        ValueError, match="items_min = 6, but only 5 items are left of all interactions; lower"
    ):
        Filters(since="2016-01-01", items_min=6)(read)


def test_items_are_counted_after_the_core():
    rows = [(1, 0, YEARS[2015]), (2, 0, YEARS[2015]), (1, 1, YEARS[2016]), (2, 1, YEARS[2016])]
    rows += [(1, 2, YEARS[2016])]
    left, _ = Filters(core=2, since="2016-01-01", items_min=2)(interactions(*rows))
    assert left.catalog.titles == ("A", "B")


def test_an_empty_result_names_the_remedy():
    with pytest.raises(
        ValueError, match=r"reviews\.json: no interaction is left by .*core=2.*; use a smaller"
    ):
        Filters(core=2)(interactions((1, 0)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"since": "October 2015"}, "since = 'October 2015' is no day; write it as in 2018-11-01"),
        ({"items_min": 9}, "items_min = 9 widens a window that has no start; set since"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Filters(**settings)
