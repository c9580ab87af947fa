import gzip
import json
import logging

import pytest

from sprec.data.dataset import FromInteractions
from sprec.data.download.sources import Folder, SourceError
from sprec.data.examples import Wording
from sprec.data.filters import Filters
from sprec.data.readers.amazon import Amazon

ROOT = "CDs & Vinyl"
SPLIT_NAMES = {
    2014: ("reviews_CDs_and_Vinyl_5.json", "meta_CDs_and_Vinyl.json"),
    2018: ("CDs_and_Vinyl_5.json", "meta_CDs_and_Vinyl.json"),
    2023: ("CDs_and_Vinyl.jsonl", "meta_CDs_and_Vinyl.jsonl"),
}
ITEMS = [("B1", "Kind of Blue", ["Jazz"]), ("B2", "Nevermind", ["Rock", "Classic Rock"])]
EVENTS = [("A9", "B2", 1_500_000_000, 5.0), ("A1", "B1", 1_500_086_400, 2.0)]
SPAN = '<span class="a-size-medium a-color-secondary a-text-normal"'


def review(year, user, item, time, rating):
    if year == 2023:
        named = {"user_id": user, "parent_asin": item, "asin": "X", "timestamp": time * 1000}
        return named | {"rating": rating, "title": "Great", "text": "é", "images": []}
    return {"reviewerID": user, "asin": item, "unixReviewTime": time, "overall": rating, "summary": "é"}


def metadata(year, item, title, genres):
    row = {2014: {"asin": item, "categories": [[ROOT, label] for label in genres] or [[ROOT]]}}
    row[2018] = {"asin": item, "category": [ROOT.replace("&", "&amp;"), *genres], "price": "$1"}
    row[2023] = {"parent_asin": item, "categories": [ROOT, *genres], "details": {"a": 1}, "price": None}
    return row[year] | ({} if title is None else {"title": title})


def write(folder, year=2018, events=EVENTS, items=ITEMS, pack=False, **settings):
    events_name, items_name = SPLIT_NAMES[year]
    show = repr if year == 2014 else json.dumps
    texts = {
        events_name: "".join(json.dumps(review(year, *event)) + "\n" for event in events),
        items_name: "".join(show(metadata(year, *item)) + "\n" for item in items),
    }
    for name, text in texts.items():
        raw = text.encode()
        (folder / (f"{name}.gz" if pack else name)).write_bytes(gzip.compress(raw) if pack else raw)
    return Amazon(Folder(folder), "CDs_and_Vinyl", year, ignored_genres=[ROOT], **settings)


@pytest.mark.parametrize("year", [2014, 2018, 2023])
@pytest.mark.parametrize("pack", [False, True], ids=["plain", "gz"])
def test_each_years_format_gives_the_same_interactions(tmp_path, year, pack):
    read = write(tmp_path, year, pack=pack).read()
    assert read.catalog.titles == ("Kind of Blue", "Nevermind")
    assert read.catalog.genres == (("Jazz",), ("Rock", "Classic Rock"))
    assert read.frame.rows() == [(0, 1, 1_500_000_000, 5.0), (1, 0, 1_500_086_400, 2.0)]


@pytest.mark.parametrize("year", [2014, 2018, 2023])
def test_what_was_written_comes_back(tmp_path, world, year):
    catalog = world.catalog
    items = [
        (f"B{i}", title, labels)
        for i, (title, labels) in enumerate(zip(catalog.titles, catalog.genres, strict=True))
    ]
    events = [(f"A{user}", f"B{item}", time, rating) for user, item, time, rating in world.frame.iter_rows()]
    read = write(tmp_path, year, events, items).read()
    assert read.catalog == catalog
    assert read.frame.equals(world.frame)


def test_unusable_titles_go_with_their_reviews_counted_by_reason(tmp_path, caplog):
    long = " ".join(["word"] * 21)
    items = [
        ("B0", "R&amp;B &quot;Hits&quot;", ["R&amp;B"]),
        ("B1", None, []),
        ("B2", SPAN, []),
        ("B3", long, []),
    ]
    events = [("A", f"B{number}", 1_500_000_000, 5.0) for number in (0, 1, 2, 2, 3, 4)]
    with caplog.at_level(logging.WARNING):
        read = write(tmp_path, events=events, items=items).read()
    assert (read.catalog.titles, read.catalog.genres) == (("R&B 'Hits'",), (("R&B",),))
    counted = {"no_title": 1, "html_title": 2, "long_title": 1, "unlisted": 1, "below_min_rating": 0}
    assert read.drops == dict.fromkeys(read.drops, 0) | counted
    assert f"{tmp_path}/meta_CDs_and_Vinyl.json:2: field 'title' is missing" in caplog.text
    assert len(caplog.messages) == 4
    kept = write(tmp_path, events=events, items=items, words_max=0, drop_html=False).read()
    assert len(kept.catalog) == 3


@pytest.mark.parametrize(
    ("year", "time", "message"),
    [
        (2018, 1_500_000_000_000, r"_5\.json:2: field 'unixReviewTime' is .*, expected seconds since 1970"),
        (2023, 1_500_000, r"Vinyl\.jsonl:2: field 'timestamp' is .*, expected milliseconds since 1970"),
    ],
    ids=["milliseconds for seconds", "seconds for milliseconds"],
)
def test_a_time_in_the_wrong_unit_names_file_line_and_field(tmp_path, year, time, message):
    reader = write(tmp_path, year, [EVENTS[0], ("A1", "B1", time, 2.0)])
    with pytest.raises(ValueError, match=message):
        reader.read()


def test_bytes_that_are_no_utf8_are_named(tmp_path):
    reader = write(tmp_path)
    path = tmp_path / "meta_CDs_and_Vinyl.json"
    path.write_bytes(path.read_bytes() + '{"asin": "B3", "title": "Café"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"meta_CDs_and_Vinyl\.json:3: byte 0xe9 is not utf-8"):
        reader.read()


def test_a_missing_category_names_what_is_there(tmp_path):
    reader = write(tmp_path)
    with pytest.raises(SourceError, match=r"no file meta_Books\.json; it holds CDs_and_Vinyl_5\.json"):
        Amazon(reader.source, "Books", 2018).read()


def test_every_setting_changes_the_digest(tmp_path):
    source = write(tmp_path).source
    changes = [{}, {"min_rating": 1}, {"words_max": 9}, {"drop_html": False}, {"ignored_genres": ["x"]}]
    changes += [{"duplicates": "numbered"}]
    digests = {Amazon(source, "CDs_and_Vinyl", 2018, **change).digest() for change in changes}
    digests |= {Amazon(source, "Books", 2018).digest(), Amazon(source, "CDs_and_Vinyl", 2023).digest()}
    assert len(digests) == 8
    assert Amazon(source, "Books", 2018, ignored_genres=("a",), min_rating=0.0).digest() == (
        Amazon(source, "Books", 2018, ignored_genres=["a"], min_rating=0).digest()
    )


def test_the_presets_window_core_and_histories_work_on_raw_files(tmp_path, world):
    catalog = world.catalog
    items = [
        (f"B{i}", title, labels)
        for i, (title, labels) in enumerate(zip(catalog.titles, catalog.genres, strict=True))
    ]
    events = [(f"A{user}", f"B{item}", time, rating) for user, item, time, rating in world.frame.iter_rows()]
    filters = Filters(core=5, since="2016-03-01", until="2016-05-01", items_min=50)
    reader = write(tmp_path, events=events, items=items)
    dataset = FromInteractions(
        "cds", reader, ("Drama",), Wording("i", "l"), history_min=5, history_max=10, filters=filters
    ).build()
    lengths = {len(row.history) for row in dataset.split.train}
    assert lengths == {5, 6, 7, 8, 9, 10}
    assert len(dataset.catalog) >= 50
    assert dataset.split.drops["outside_window"] > 0
