import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprec.data.catalog import Catalog, merge_titles, normalise, number_duplicate_titles

LONG = "A Very " + "Long " * 120 + "Title"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Heat (1995)", "Heat (1995)"),
        ('"Great Performances" Cats (1998)', "'Great Performances' Cats (1998)"),
        ("Two\nLines\r\n\tand a tab ", "Two Lines and a tab"),
        ("Good, the Bad and the Ugly, The", "Good, the Bad and the Ugly, The"),
        (LONG, LONG),
        ("  ", ""),
    ],
    ids=["plain", "quotes", "line breaks", "commas", "600 characters", "blank"],
)
def test_a_title_has_one_spelling(raw, expected):
    assert normalise(raw) == expected


@given(st.text())
def test_normalising_twice_changes_nothing_and_leaves_no_quote_or_line_break(title):
    once = normalise(title)
    assert normalise(once) == once
    assert '"' not in once
    assert "\n" not in once


def test_items_are_found_by_any_spelling_of_their_title():
    catalog = Catalog(("Heat", "The 'Real' Thing"), (("Crime",), ()))
    assert catalog.find(' The "Real"\nThing ') == 1
    assert catalog.find("Ran") is None
    assert len(catalog) == 2


def test_a_title_may_name_one_item_only():
    with pytest.raises(ValueError, match="'Heat' names two items; merge them"):
        Catalog(("Heat", "Ran", "Heat"), ((), (), ()))


def test_titles_and_genres_must_pair_up():
    with pytest.raises(ValueError, match="2 titles but 1 genre lists"):
        Catalog(("Heat", "Ran"), ((),))


def test_merging_unites_genres_in_order_of_appearance_and_counts_the_merged_rows():
    catalog, ids, merged = merge_titles(
        ["Chasing Amy (1997)", "Ran", "Chasing  Amy (1997)", "Ran"],
        [["Drama"], [], ["Romance", "Drama"], ["War"]],
    )
    assert catalog.titles == ("Chasing Amy (1997)", "Ran")
    assert catalog.genres == (("Drama", "Romance"), ("War",))
    assert ids == [0, 1, 0, 1]
    assert merged == 2


def test_titles_told_apart_get_the_next_number_that_no_other_title_has():
    catalog, ids, numbered = number_duplicate_titles(
        ["Heat", "Heat (2)", "Heat ", "Ran", "Heat"], [["a"], [], ["b"], [], []]
    )
    assert catalog.titles == ("Heat", "Heat (2)", "Heat (3)", "Ran", "Heat (4)")
    assert catalog.genres == (("a",), (), ("b",), (), ())
    assert (ids, numbered) == ([0, 1, 2, 3, 4], 2)


def test_characters_without_width_make_no_title_of_their_own_but_joiners_stay():
    """A soft hyphen, spaces and operators without width; Persian and emoji are written with joiners."""
    titles = ["He\u00adat", "Heat", "\u200bHeat", "He\u2060a\u2064t\u180e", "\u200b"]
    catalog, ids, merged = merge_titles(titles, [[]] * 5)
    assert (catalog.titles, ids, merged) == (("Heat", ""), [0, 0, 0, 0, 1], 3)
    for joined in ("\u0645\u06cc\u200c\u0631\u0648\u062f", "\U0001f468\u200d\U0001f680"):
        assert normalise(joined) == joined
