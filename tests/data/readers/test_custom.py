import gzip
from dataclasses import replace
from datetime import UTC, datetime
from datetime import time as time_of_day

import polars as pl
import pytest

from sprec.data.download.sources import Folder
from sprec.data.readers.custom import Custom
from sprec.data.splits import sliding_windows

ITEMS = 'id,name,tags,price\n7,Heat,Crime|Action,1\n8,"Ran,\nor ""Chaos""",,2\n9,Emma,Romance,3\n'
EVENTS = "who,note,id,when,stars\nann,x,8,1500000000,4.5\nbob,y,7,1500086400,1\n"
COLUMNS = {"user": "who", "item": "id", "time": "when", "rating": "stars", "title": "name", "genres": "tags"}


def write(folder, events=EVENTS, items=ITEMS, **settings):
    for name, text in (("interactions.csv", events), ("items.csv", items)):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Custom(Folder(folder), **{**COLUMNS, **settings})


def test_columns_go_by_the_names_that_the_settings_give(tmp_path):
    read = write(tmp_path).read()
    assert read.catalog.titles == ("Heat", "Ran, or 'Chaos'", "Emma")
    assert read.catalog.genres == (("Crime", "Action"), (), ("Romance",))
    assert read.frame.rows() == [(0, 1, 1_500_000_000, 4.5), (1, 0, 1_500_086_400, 1.0)]


def test_ratings_and_genres_may_be_missing_and_separators_differ(tmp_path):
    events, items = EVENTS.replace(",", "\t"), "id\tname\n7\tHeat\n8\tRan\n"
    read = write(tmp_path, events, items, rating=None, genres=None, separator="\t").read()
    assert read.frame["rating"].to_list() == [None, None]
    assert read.catalog.genres == ((), ())
    floored = write(tmp_path, events, items, rating=None, genres=None, separator="\t", min_rating=3)
    with pytest.raises(ValueError, match=r"min_rating = 3, but interactions\.csv has no ratings; use 0"):
        floored.read()


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_what_was_written_comes_back(tmp_path, world, suffix):
    events = world.frame.with_columns(user=pl.format("u{}", "user"), item=pl.format("i{}", "item"))
    items = pl.DataFrame(
        {
            "item": [f"i{item}" for item in range(len(world.catalog))],
            "title": world.catalog.titles,
            "genres": [list(labels) for labels in world.catalog.genres],
        }
    )
    for name, table in (("interactions", events), ("items", items)):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "parquet":
            table.write_parquet(path)
            continue
        flat = table.with_columns(pl.col(pl.List(pl.String)).list.join("|"))
        raw = flat.write_csv().encode()
        path.write_bytes(gzip.compress(raw) if suffix == "csv.gz" else raw)
    read = Custom(
        Folder(tmp_path), interactions=f"interactions.{suffix}", items=f"items.{suffix}", rating="rating"
    ).read()
    assert read.catalog == world.catalog
    assert read.frame.equals(world.frame)


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_parquet_times_may_be_numbers_or_dates(tmp_path, unit):
    reader = write(tmp_path)
    times = [datetime.fromtimestamp(1_500_000_000, UTC)]
    frame = pl.DataFrame({"who": [3], "id": [7], "stars": [1], "when": times})
    frame.write_parquet(tmp_path / "events.parquet")
    read = Custom(reader.source, **COLUMNS, interactions="events.parquet", time_unit=unit).read()
    assert read.frame.rows() == [(0, 0, 1_500_000_000, 1.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"events": EVENTS.replace("1500086400", "1500086400000")}, r"interactions\.csv:3: field 'when' is"),
        ({"time_unit": "ms"}, r"interactions\.csv:2: field 'when' is .*, expected milliseconds since 1970"),
        (
            {"events": EVENTS.replace("4.5", "good")},
            r"ions\.csv:2: field 'stars' is 'good', expected a number",
        ),
        ({"events": EVENTS.replace("bob,y,7", "bob,y,")}, r"ions\.csv:3: field 'id' is '', expected a text"),
        ({"events": EVENTS + "cid,z,7\n"}, r"interactions\.csv:4: field 'when' is '', expected a number"),
        ({"events": EVENTS.encode() + b"c\xe9,z,7,1500000000,2\n"}, r"ions\.csv:4: byte 0xe9 is not utf-8"),
        ({"items": ITEMS.encode() + b"10,Caf\xe9,,1\n"}, r"items\.csv:6: byte 0xe9 is not utf-8"),
        ({"items": ITEMS + "10,Heat\n"}, r"items\.csv:6: 2 fields, expected 4"),
        ({"items": ITEMS + ",Heat,,1\n"}, r"items\.csv:6: field 'id' is missing"),
        ({"user": "person"}, r"interactions\.csv:1: no column 'person' among 'who, note, id, when, stars'"),
        ({"title": "headline"}, r"items\.csv:1: no column 'headline' among 'id, name, tags, price'"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_bad_input_names_file_line_and_field(tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        write(tmp_path, **change).read()
    assert "\n" not in str(caught.value)


def test_missing_and_shared_titles_are_said_with_file_line_and_field(tmp_path, caplog):
    read = write(tmp_path, items="id,name,tags\n7,Heat,\n8,,\n9,Heat,Crime\n").read()
    assert caplog.messages == [
        f"{tmp_path}/items.csv:3: field 'title' is missing (first of 1 items left out)",
        f"{tmp_path}/items.csv:4: field 'title' is 'Heat', as in line 2 (first of 1 that are merged)",
    ]
    assert (read.drops["no_title"], read.drops["merged_titles"]) == (1, 1)


def test_every_setting_changes_the_digest(tmp_path):
    reader = write(tmp_path)
    assert reader.digest() == write(tmp_path).digest()
    for change in ({"user": "note"}, {"time_unit": "ms"}, {"min_rating": 1.0}, {"duplicates": "numbered"}):
        assert write(tmp_path, **change).digest() != reader.digest()


def plain(folder, events, items="item,title,genres\na,Heat,A\nb,Ran,B\n", **settings):
    """Write two tables with the default column names."""
    (folder / "interactions.csv").write_text(events)
    (folder / "items.csv").write_text(items)
    return Custom(Folder(folder), **settings)


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        ("s", ["1600000000.75", "1600000000.25"]),
        ("ms", ["1600000000750", "1600000000250"]),
        ("us", ["1600000000750000", "1600000000250000"]),
        ("s", ["2020-09-13T12:26:40.750", "2020-09-13 12:26:40.250"]),
        ("s", ["2020-09-13T14:26:40.750+02:00", "2020-09-13T12:26:40.250Z"]),
    ],
    ids=["seconds", "milliseconds", "microseconds", "ISO dates", "zones"],
)
def test_order_within_a_second_is_that_of_the_times(tmp_path, unit, times):
    events = "user,item,time\n" + "".join(
        f"u,{item},{time}\n" for item, time in zip("ab", times, strict=True)
    )
    read = plain(tmp_path, events, time_unit=unit).read()
    assert read.frame["time"].to_list() == [1_600_000_000.75, 1_600_000_000.25]
    rows = sliding_windows(read.frame, history_min=1, history_max=1)
    assert rows.select("history", "target").rows() == [([1], 0)]


def test_ties_keep_the_order_of_the_file(tmp_path):
    rows = plain(tmp_path, "user,item,time\nu,b,2020-09-13\nu,a,2020-09-13\n").read().frame
    windows = sliding_windows(rows, history_min=1, history_max=1)
    assert windows.select("history", "target").rows() == [([1], 0)]


def test_ratings_that_are_no_number_are_dropped_and_counted(tmp_path):
    events = (
        "user,item,time,rating\nu,a,1600000000,5\nu,b,1600000001,NaN\nu,a,1600000002,inf\nu,b,1600000003,1\n"
    )
    read = plain(tmp_path, events, rating="rating", min_rating=4).read()
    assert read.frame.rows() == [(0, 0, 1_600_000_000, 5.0)]
    assert (read.drops["no_rating"], read.drops["below_min_rating"]) == (2, 1)


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "", "soon"])
def test_times_that_are_no_number_are_refused_with_their_line(tmp_path, time):
    with pytest.raises(ValueError, match=r"interactions\.csv:3: field 'time' is '.*', expected a number"):
        plain(tmp_path, f"user,item,time\nu,a,1600000000\nu,b,{time}\n").read()


def test_dates_that_are_none_are_refused_with_their_line(tmp_path):
    with pytest.raises(
        ValueError, match=r"interactions\.csv:3: field 'time' is '2020-13-40', expected a date"
    ):
        plain(tmp_path, "user,item,time\nu,a,2020-09-13\nu,b,2020-13-40\n").read()


@pytest.mark.parametrize("ids", [[0.0, 1.0], [0, 1]], ids=["floats", "integers"])
@pytest.mark.parametrize(
    ("titles", "known"),
    [([300, 1984], ("300", "1984")), ([1984.0, float("nan")], ("1984",)), (["Heat", "Ran"], ("Heat", "Ran"))],
    ids=["integer titles", "a missing title", "texts"],
)
def test_parquet_numbers_are_titles_and_ids(tmp_path, ids, titles, known):
    pl.DataFrame({"item": ids, "title": titles}).write_parquet(tmp_path / "items.parquet")
    events = pl.DataFrame({"user": ["u", "u"], "item": [0, 1], "time": [1_600_000_000, 1_600_000_001]})
    events.write_parquet(tmp_path / "interactions.parquet")
    names = {"interactions": "interactions.parquet", "items": "items.parquet", "genres": None}
    read = Custom(Folder(tmp_path), **names).read()
    assert read.catalog.titles == known
    assert read.drops["no_title"] == 2 - len(known)
    assert read.frame.height == len(known)


def test_whole_numbers_with_a_fraction_are_the_ids_without_it(tmp_path):
    items = "item,title,genres\n1,Heat,A\n2.0,Ran,B\n"
    read = plain(tmp_path, "user,item,time\n7.0,1.0,1600000000\n7,2,1600000001\n", items).read()
    assert read.frame.select("user", "item").rows() == [(0, 0), (0, 1)]


def test_ids_that_no_item_has_are_an_error_that_shows_some(tmp_path):
    with pytest.raises(
        ValueError, match=r"no item that items\.csv lists: 'x', 'y' here, 'a', 'b' there; name"
    ):
        plain(tmp_path, "user,item,time\nu,x,1600000000\nu,y,1600000001\n").read()


def test_titles_and_genres_lose_what_nobody_sees_and_are_counted(tmp_path):
    items = "item,title,genres\na,Ame\u0301lie\u202e,Dra\u200fma\nb,Am\u00e9lie,Drama\nb,Other,X\nc,Ran,War\n"
    read = plain(tmp_path, "user,item,time\nu,a,1600000000\nu,b,1600000001\n", items).read()
    assert (read.catalog.titles, read.catalog.genres) == (("Am\u00e9lie", "Ran"), (("Drama",), ("War",)))
    assert {name: read.drops[name] for name in ("merged_titles", "repeated_ids", "cleaned_items")} == {
        "merged_titles": 1,
        "repeated_ids": 1,
        "cleaned_items": 1,
    }


def test_spaces_around_ids_make_no_ids_of_their_own(tmp_path):
    events, items = "who,id,when\nann, 8,1500000000\n ann,7 ,1500000001\n", "id,name\n7,Heat\n 8 ,Ran\n"
    frame = write(tmp_path, events, items, rating=None, genres=None).read().frame
    assert frame["user"].to_list() == [0, 0]
    assert frame["item"].to_list() == [1, 0]


@pytest.mark.parametrize(
    ("genres", "expected"), [([[0, 1], [0]], (("0", "1"), ("0",))), ([3, None], (("3",), ()))]
)
def test_genres_of_a_parquet_file_may_be_numbers(tmp_path, genres, expected):
    pl.DataFrame({"id": [7, 8], "name": ["Heat", "Ran"], "tags": genres}).write_parquet(
        tmp_path / "i.parquet"
    )
    reader = write(tmp_path, "who,id,when,stars\nann,7,1500000000,4\n")
    assert replace(reader, items="i.parquet").read().catalog.genres == expected


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ids_may_be_the_titles_themselves(tmp_path, suffix):
    for name, columns in (
        (
            "interactions",
            {"user": ["u", "u"], "item": ["Ran", "Heat"], "time": [1_600_000_000, 1_600_000_001]},
        ),
        ("items", {"item": ["Heat", "Ran"]}),
    ):
        frame = pl.DataFrame(columns)
        (frame.write_csv if suffix == "csv" else frame.write_parquet)(tmp_path / f"{name}.{suffix}")
    files = {"interactions": f"interactions.{suffix}", "items": f"items.{suffix}"}
    read = Custom(Folder(tmp_path), **files, title="item", genres=None).read()
    assert (read.catalog.titles, read.frame["item"].to_list()) == (("Heat", "Ran"), [1, 0])


def test_times_of_day_are_no_dates(tmp_path):
    pl.DataFrame({"who": ["ann"], "id": [7], "when": [time_of_day(12)], "stars": [4.0]}).write_parquet(
        tmp_path / "e.parquet"
    )
    with pytest.raises(
        ValueError, match=r"e\.parquet: column 'when' holds Time, no date; write dates or sec"
    ):
        replace(write(tmp_path), interactions="e.parquet").read()


def test_a_column_of_two_roles_or_twice_in_the_header_is_refused(tmp_path):
    with pytest.raises(ValueError, match="column 'when' is named for two of user, item, time, rating"):
        write(tmp_path, rating="when")
    with pytest.raises(ValueError, match="column 'name' is named for two of title, genres"):
        write(tmp_path, genres="name")
    twice = EVENTS.replace("note", "when")
    with pytest.raises(ValueError, match=r"interactions\.csv:1: the header has 'when' twice; give each"):
        write(tmp_path, twice).read()


def test_spaces_around_genres_make_no_genres_of_their_own(tmp_path):
    items = "id,name,tags\n7,Heat,Crime | Action\n8,Ran,Action| \n"
    assert write(tmp_path, items=items).read().catalog.genres == (("Crime", "Action"), ("Action",))


@pytest.mark.parametrize("header", ["user,item,rating,time", "user,item,rating,time,note"])
def test_a_decimal_comma_moves_nothing_without_a_word(tmp_path, header):
    """`3,5` would make the rating 3 and the time 5, and so another history."""
    width = header.count(",")
    lines = [f"u{number},a,4,160000000{number}{',' * (width - 3)}" for number in range(3)]
    lines.insert(1, f"u1,b,3,5,1600000001{',' * (width - 3)}")
    with pytest.raises(ValueError, match=rf"interactions\.csv:3: {width + 2} fields, expected {width + 1}"):
        plain(tmp_path, "\n".join([header, *lines, ""])).read()


@pytest.mark.parametrize("quoted", [False, True], ids=["no field in quotes", "a field in quotes"])
def test_stray_quotes_lose_no_line(tmp_path, quoted):
    """Two titles with inch marks: to polars, all lines between them were one field."""
    notes = ['The 7" single', "x", "y", '12" mix', '"a, b"' if quoted else "z"]
    lines = [f"u,a,160000000{number},{note}\n" for number, note in enumerate(notes)]
    read = plain(tmp_path, "user,item,time,note\n" + "".join(lines)).read()
    assert read.frame["time"].to_list() == [1_600_000_000 + number for number in range(5)]


def test_lines_are_counted_through_quoted_line_breaks_and_blank_lines(tmp_path):
    events = 'user,item,time,note\nu,a,1600000000,"two\nlines"\n\nu,b,soon,x\n'
    with pytest.raises(ValueError, match=r"interactions\.csv:5: field 'time' is 'soon'"):
        plain(tmp_path, events).read()


def test_more_records_than_a_frame_holds_keep_their_order_and_lines(tmp_path):
    lines = [f"u{number},a,{1_600_000_000 + number}\n" for number in range(4001)]
    assert plain(tmp_path, "user,item,time\n" + "".join(lines)).read().frame["user"].to_list() == list(
        range(4001)
    )
    with pytest.raises(ValueError, match=r"interactions\.csv:4003: field 'time'"):
        plain(tmp_path, "user,item,time\n" + "".join(lines) + "u,a,\n").read()


EVENT = "user,item,time\nu,a,1600000000\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('item,title,genres\na,Heat,A\nb,"Ran,B\nc,Emma,C\n', 3),
        ('item,title,genres\na,"Heat,A\nb,"Ran",B\nc,Emma,C\n', 2),
        ('item,title,genres\na,Heat,A\nb,"The "Real" Thing",B\n', 3),
    ],
    ids=["open to the end", "closed by the next title's", "not doubled"],
)
def test_an_open_quote_is_refused_with_the_line_that_opens_it(tmp_path, text, line):
    """Otherwise the lines after it would be one title, and their items in no catalogue."""
    with pytest.raises(ValueError, match=rf"items\.csv:{line}: no CSV \(.*\); close the quote") as caught:
        plain(tmp_path, EVENT, text).read()
    assert "\n" not in str(caught.value)
    events = text.replace("item,title,genres", "user,item,note,time").replace("\n", ",1600000000\n")
    with pytest.raises(ValueError, match=rf"interactions\.csv:{line}: no CSV"):
        plain(tmp_path, events.replace("note,time,1600000000", "note,time")).read()


def test_lines_that_end_in_carriage_returns_alone_are_said_to(tmp_path):
    with pytest.raises(ValueError, match=r"items\.csv:1: no CSV \(new-line .*; end lines with a line feed"):
        plain(tmp_path, EVENT, "item,title,genres\ra,Heat,A\r").read()


def test_a_rating_that_none_has_is_said_though_an_item_is_unlisted(tmp_path):
    events = "user,item,time,rating\nu,a,1600000000,5\nu,x,1600000001,5\n"
    with pytest.raises(
        ValueError,
        match=r"min_rating = 6, but no item of items\.csv is rated so high in .*; use a lower dataset",
    ):
        plain(tmp_path, events, rating="rating", min_rating=6).read()


def test_ids_of_items_without_a_title_are_listed(tmp_path):
    """The only item that is listed has no title, the other one is unlisted: no columns are mixed up."""
    events = "user,item,time\nu,a,1600000000\nu,x,1600000001\n"
    read = plain(tmp_path, events, "item,title,genres\na,,A\nb,Ran,B\n").read()
    assert (read.frame.height, read.drops["no_title"], read.drops["unlisted"]) == (0, 1, 1)


def test_a_tab_may_be_typed_and_other_separators_are_one_character(tmp_path):
    events, items = EVENT.replace(",", "\t"), "item\ttitle\tgenres\na\tHeat\tA\n"
    typed = plain(tmp_path, events, items, separator=r"\t")
    assert typed.read().catalog.titles == ("Heat",)
    assert typed.digest() == plain(tmp_path, events, items, separator="\t").digest()
    for separator in ("::", "", '"'):
        with pytest.raises(ValueError, match=r"dataset\.reader\.separator = '.*' is not one character; give"):
            plain(tmp_path, events, separator=separator)


def test_a_file_of_a_folder_within_is_named_by_its_path(tmp_path):
    plain(tmp_path, EVENT)
    for part, time in (("2023", 1_600_000_000), ("2024", 1_700_000_000)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "ratings.csv").write_text(f"user,item,time\nu,a,{time}\n")
    read = Custom(Folder(tmp_path), interactions="2024/ratings.csv").read()
    assert read.frame["time"].to_list() == [1_700_000_000]
