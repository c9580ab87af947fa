import gzip
from datetime import UTC, datetime

import polars as pl
import pytest

from sprec.data.download.sources import Folder
from sprec.data.readers.custom import Custom

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


def test_every_setting_changes_the_digest_and_units_are_known(tmp_path):
    reader = write(tmp_path)
    assert reader.digest() == write(tmp_path).digest()
    for change in ({"user": "id"}, {"time_unit": "ms"}, {"min_rating": 1.0}, {"duplicates": "numbered"}):
        assert write(tmp_path, **change).digest() != reader.digest()
    with pytest.raises(ValueError, match="time_unit = 'h'; choose one of s, ms"):
        write(tmp_path, time_unit="h")
