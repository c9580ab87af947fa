import logging
from pathlib import Path

import pytest

from sprec.data.formats.item_table import CODES, ItemRow, build_item_table

PATH = Path("items.csv")
NAMES = {code: reason for reason, code in CODES.items()}


def table(*titles, **settings):
    items = [ItemRow(line, f"k{line}", title, (f"g{line}",)) for line, title in enumerate(titles, start=2)]
    return build_item_table(PATH, items, **settings)


def test_codes_are_catalogue_ids_and_below_zero_the_reason_for_none():
    known = table("Heat", "", "Ran", '<span class="a"', "a b c d", words_max=3, drop_html=True)
    assert known.catalog.titles == ("Heat", "Ran")
    assert [known.code_of(f"k{line}") for line in (2, 4)] == [0, 1]
    reasons = [NAMES[known.code_of(key)] for key in ("k3", "k5", "k6", "k99")]
    assert reasons == ["no_title", "html_title", "long_title", "unlisted"]


def test_a_limit_of_words_keeps_titles_of_that_many():
    assert table("a b c", words_max=3).catalog.titles == ("a b c",)
    assert table("a b c d", '<span class="a"').catalog.titles == ("a b c d", "<span class='a'")


def test_two_ids_of_one_title_are_one_item_or_told_apart(caplog):
    with caplog.at_level(logging.WARNING):
        merged = table("Heat", "Ran", "Heat ")
    assert [merged.code_of(key) for key in ("k2", "k3", "k4")] == [0, 1, 0]
    assert merged.catalog.genres[0] == ("g2", "g4")
    assert merged.drops == {"merged_titles": 1, "repeated_ids": 0, "cleaned_items": 0}
    said = "items.csv:4: field 'title' is 'Heat', as in line 2 (first of 1 that are merged)"
    assert caplog.messages == [said]
    apart = table("Heat", "Ran", "Heat ", duplicates="numbered")
    assert apart.catalog.titles == ("Heat", "Ran", "Heat (2)")
    assert apart.drops["numbered_titles"] == 1


def test_missing_titles_are_said_once_with_file_line_and_field(caplog):
    with caplog.at_level(logging.WARNING):
        table("Heat", " ", "")
    assert caplog.messages == ["items.csv:3: field 'title' is missing (first of 2 items left out)"]


def test_an_id_that_is_listed_again_keeps_its_first_row():
    items = [ItemRow(1, "a", "Heat", ("x",)), ItemRow(2, "a", "Ran", ("y",))]
    known = build_item_table(PATH, items)
    assert (known.catalog.titles, known.catalog.genres) == (("Heat",), (("x",),))


@pytest.mark.parametrize("duplicates", ["merged", "numbered"])
def test_no_items_make_an_empty_catalogue(duplicates):
    assert len(table(duplicates=duplicates).catalog) == 0


def test_a_title_of_invisible_marks_is_none():
    assert table("\u200f", "Heat").catalog.titles == ("Heat",)
