import re
from html.parser import HTMLParser

from sprec.report.html import fragment, html
from sprec.report.tables import Spread, Table

TABLE = Table(
    'A <b>bold</b> "title"',
    ("method", "negatives", "N", "HR@1"),
    (("sprec & <i>", "שלום", 1000, Spread(0.0123, 0.001)), ("dpo", "random", 20, None)),
    ("N 1000; <script>",),
    names=2,
)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells and self.tags[-1][0] in ("th", "td", "bdi"):
            self.cells[-1] += data


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


def test_names_are_text_and_never_tags():
    reader = read(html(TABLE))
    assert {tag for tag, _ in reader.tags} <= {
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
        "p",
    }
    assert reader.cells[4] == "sprec & <i>"
    assert reader.tags[0][1]["aria-label"] == 'A <b>bold</b> "title"'


def test_fragment_is_ascii_so_that_any_encoding_of_the_page_around_it_shows_it():
    text = html(TABLE)
    assert text.isascii()
    assert read(text).cells[5] == "שלום"
    assert "0.0123 &#177; 0.0010" in text


def test_heads_of_columns_and_rows_are_marked_for_screen_readers():
    scopes = [attrs["scope"] for tag, attrs in read(fragment(TABLE)).tags if tag == "th"]
    assert scopes == ["col"] * 4 + ["row"] * 2


def test_wide_table_scrolls_inside_a_group_that_the_keyboard_reaches():
    tag, attrs = read(fragment(TABLE)).tags[0]
    assert (tag, attrs["role"], attrs["tabindex"]) == ("div", "group", "0")


def test_numbers_are_flush_right_and_a_missing_one_is_a_dash():
    text = fragment(TABLE)
    assert '<td class="number">–</td>' in text.replace("<bdi>", "").replace("</bdi>", "")
    assert len(re.findall('class="number"', text)) == 2 + 4


def test_other_writing_directions_do_not_reach_their_neighbours():
    assert "<bdi>שלום</bdi>" in fragment(TABLE)
