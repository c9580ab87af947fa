import gzip
import json
import logging
from datetime import UTC, datetime

import pytest

from sprec.data.download.sources import Folder, SourceError
from sprec.data.readers.goodreads import Goodreads

BOOKS = [
    {"book_id": "11", "title": "Emma", "isbn": "1", "authors": [{"author_id": "9"}]},
    {"book_id": "12", "title": "Persuasion (Vintage #2)", "isbn": "", "authors": []},
    {"book_id": "13", "title": "", "isbn": "3"},
]
GENRES = [
    {"book_id": "11", "genres": {"romance": 12, "fiction": 3}},
    {"book_id": "12", "genres": {"history, historical fiction, biography": 1}},
    {"book_id": "13", "genres": {}},
]


def event(user, book, rating=4, date="Fri Jan 10 12:01:47 -0800 2014"):
    return {
        "user_id": user,
        "book_id": book,
        "review_id": "r",
        "is_read": True,
        "rating": rating,
        "date_added": date,
        "date_updated": "",
    }


def write(folder, events, books=BOOKS, genres=GENRES, pack=False):
    files = {
        "goodreads_books.json": books,
        "goodreads_book_genres_initial.json": genres,
        "goodreads_interactions_dedup.json": events,
    }
    for name, rows in files.items():
        raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / (f"{name}.gz" if pack else name)).write_bytes(gzip.compress(raw) if pack else raw)
    return Goodreads(Folder(folder))


@pytest.mark.parametrize("pack", [False, True], ids=["json", "json.gz"])
def test_books_have_their_genres_and_dates_their_zone(tmp_path, pack):
    read = write(tmp_path, [event("u1", "12"), event("u0", "11", rating=0)], pack=pack).read()
    assert read.catalog.titles == ("Emma", "Persuasion (Vintage #2)")
    assert read.catalog.genres == (("romance", "fiction"), ("history, historical fiction, biography",))
    assert read.frame.rows() == [(0, 1, 1_389_384_107, 4.0), (1, 0, 1_389_384_107, 0.0)]


def test_what_was_written_comes_back(tmp_path, world):
    books = [{"book_id": str(i), "title": title} for i, title in enumerate(world.catalog.titles)]
    genres = [
        {"book_id": str(i), "genres": dict.fromkeys(labels, 1)}
        for i, labels in enumerate(world.catalog.genres)
    ]
    events = [
        event(
            f"{user:032x}", str(item), rating, f"{datetime.fromtimestamp(time, UTC):%a %b %d %H:%M:%S %z %Y}"
        )
        for user, item, time, rating in world.frame.iter_rows()
    ]
    read = write(tmp_path, events, books, genres).read()
    assert read.catalog == world.catalog
    assert read.frame.equals(world.frame)


def test_books_without_title_and_unlisted_ones_go_with_their_interactions_and_are_said_once(tmp_path, caplog):
    events = [event("u", "11"), event("u", "13"), event("u", "99"), event("u", "98")]
    with caplog.at_level(logging.WARNING):
        read = write(tmp_path, events).read()
    assert read.frame["item"].to_list() == [0]
    assert (read.drops["no_title"], read.drops["unlisted"]) == (1, 2)
    assert caplog.messages == [
        f"{tmp_path}/goodreads_books.json:3: field 'title' is missing (first of 1 items left out)",
        f"{tmp_path}/goodreads_interactions_dedup.json:3: field 'book_id' is an item that "
        "goodreads_books.json does not list (first one left out)",
    ]


def test_books_that_were_never_rated_go_by_a_floor_of_one(tmp_path):
    reader = write(tmp_path, [event("u", "11", rating=0), event("v", "12", rating=1)])
    read = Goodreads(reader.source, min_rating=1).read()
    assert read.frame.rows() == [(0, 1, 1_389_384_107, 1.0)]
    assert read.drops["below_min_rating"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"date_added": "1389384107"}, r"dedup\.json:2: field 'date_added' is '1389384107', expected a date"),
        ({"date_added": "Fri Jan 10 12:01:47 -0800 1914"}, r"dedup\.json:2: field 'date_added' is 'Fri"),
        ({"rating": "good"}, r"dedup\.json:2: field 'rating' is 'good', expected a number"),
        ({"user_id": None}, r"dedup\.json:2: field 'user_id' is missing"),
    ],
    ids=["seconds", "1914", "rating", "user"],
)
def test_a_bad_interaction_names_file_line_and_field(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, [event("u", "11"), event("u", "12") | change]).read()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"has no file goodreads_books\.json; it holds nothing"):
        Goodreads(Folder(tmp_path)).read()


def test_every_setting_changes_the_digest(tmp_path):
    source = write(tmp_path, [event("u", "11")]).source
    digests = {Goodreads(source).digest(), Goodreads(source, 1).digest()}
    assert len(digests | {Goodreads(source, duplicates="numbered").digest()}) == 3
