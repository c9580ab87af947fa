"""Tables in HTML: nothing in a name becomes a tag, and every column has a head."""

from html.parser import HTMLParser

from sprec.report.tables.html_table import html, html_document
from sprec.report.tables.table import Table

TABLE = Table(
    title="<script>alert(1)</script>",
    columns=("method", "N", "HR@1", "HR@5"),
    rows=(("a & <b>", 20, 0.5, 0.25), ('"q"', 20, None, 0.5)),
    notes=("N < 5",),
    names=1,
    groups=("", "", "K = 1", "K = 5"),
    arrows={"HR@1": "↑"},
    marks={(0, 2): "best", (1, 3): "second"},
    rules=(1,),
)


class Tags(HTMLParser):
    """Collects opened and closed tags."""

    def __init__(self):
        super().__init__()
        self.opened, self.closed = [], []

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.closed.append(tag)


def test_names_are_escaped_and_marks_are_tags():
    text = html(TABLE)
    assert "<script>" not in text
    assert "a &amp; &lt;b&gt;" in text
    assert "<b>0.5000</b>" in text
    assert "<u>0.5000</u>" in text


def test_heads_have_scopes_and_span_their_groups():
    tags = Tags()
    tags.feed(html(TABLE))
    scopes = [attributes.get("scope") for tag, attributes in tags.opened if tag == "th"]
    assert scopes == ["colgroup", "colgroup", "col", "col", "col", "col", "row", "row"]
    assert ("tr", {"class": "ruled"}) in tags.opened


def test_document_is_whole_and_loads_nothing():
    text = html_document([html(TABLE), html(TABLE)], "a < b")
    tags = Tags()
    tags.feed(text)
    void = {"meta"}
    assert sorted(tag for tag, _ in tags.opened if tag not in void) == sorted(tags.closed)
    assert not {"src", "href"} & {name for _, attributes in tags.opened for name in attributes}
    assert "<title>a &lt; b</title>" in text
