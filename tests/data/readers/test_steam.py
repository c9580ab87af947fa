import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sprec.data.download.sources import Folder
from sprec.data.formats.item_table import build_item_table
from sprec.data.readers.steam import Steam, _read_games

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
GAMES = [
    {"id": "10", "app_name": "Half-Life", "title": "Half-Life", "genres": ["Action"], "price": 9.99},
    {"id": "20", "title": 'Tom & Jerry\'s "Ü"', "genres": ["Design &amp; Illustration"]},
    {"id": "30", "app_name": "No Genres", "tags": ["Indie"], "early_access": False},
    {"url": "http://store", "price": 19.99},
]


def review(user, game, date="2017-12-17"):
    return {"username": user, "product_id": game, "date": date, "text": 'it\'s a "game"\n', "hours": 1.5}


def legacy(row):
    """Show a row as Python 2 did: texts with a leading u."""
    fields = [f"u{key!r}: {'u' * isinstance(value, str)}{value!r}" for key, value in row.items()]
    return "{" + ", ".join(fields) + "}\n"


def write(folder, reviews, games=GAMES, pack=False):
    for name, rows in (("steam_reviews.json", reviews), ("steam_games.json", games)):
        raw = "".join(map(legacy, rows)).encode()
        (folder / (f"{name}.gz" if pack else name)).write_bytes(gzip.compress(raw) if pack else raw)
    return Steam(Folder(folder))


@pytest.mark.parametrize("pack", [False, True], ids=["json", "json.gz"])
def test_reviews_have_days_and_no_ratings_and_games_their_genres(tmp_path, pack):
    read = write(tmp_path, [review("Ann", "20"), review("Bob", "10", "2017-12-18")], pack=pack).read()
    assert read.catalog.titles == ("Half-Life", "Tom & Jerry's 'Ü'", "No Genres")
    assert read.catalog.genres == (("Action",), ("Design & Illustration",), ())
    assert read.frame.rows() == [(0, 1, 1_513_468_800, None), (1, 0, 1_513_555_200, None)]


def test_what_was_written_comes_back(tmp_path, world):
    catalog = world.catalog
    games = [
        {"id": str(i), "app_name": title, "genres": list(labels)}
        for i, (title, labels) in enumerate(zip(catalog.titles, catalog.genres, strict=True))
    ]
    reviews = [
        review(f"user {user}", str(item), f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}")
        for user, item, time, _ in world.frame.iter_rows()
    ]
    read = write(tmp_path, reviews, games).read()
    assert read.catalog == catalog
    assert read.frame.drop("rating").equals(world.frame.drop("rating"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"date": "1513468800"},
            r"reviews\.json:2: field 'date' is '1513468800', expected a date like '2017",
        ),
        ({"product_id": None}, r"reviews\.json:2: field 'product_id' is missing"),
        ({"username": 1.5}, r"reviews\.json:2: field 'username' is '1\.5', expected a text"),
    ],
    ids=["seconds", "no game", "no name"],
)
def test_a_bad_review_names_file_line_and_field(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, [review("Ann", "10"), review("Ann", "20") | change]).read()


def test_a_line_that_is_no_dict_is_named(tmp_path):
    reader = write(tmp_path, [review("Ann", "10")])
    with (tmp_path / "steam_reviews.json").open("a") as stream:
        stream.write("__import__('os')\n")
    with pytest.raises(ValueError, match=r"steam_reviews\.json:2: no object \(malformed"):
        reader.read()


@pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED}")
def test_the_real_games_file_is_read_and_its_entities_replaced():
    path = SHARED / "steam" / "ucsd_steam_games.json.gz"
    known = build_item_table(path, _read_games(path))
    assert len(known.codes) == 32_132
    assert (
        sum(code >= 0 for code in known.codes.values()) - len(known.catalog) == known.drops["merged_titles"]
    )
    assert "Design & Illustration" in {label for labels in known.catalog.genres for label in labels}
