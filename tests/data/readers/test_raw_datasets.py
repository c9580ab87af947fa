"""Each raw dataset's YAML, on a small folder in the exact raw format: from the command's words to rows."""

from datetime import UTC, datetime

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.data.formats.movielens_items import FLAGS
from sprec.experiment.build import instantiate_node
from sprec.experiment.config import validate_settings
from sprec.experiment.nodes import with_local_folder
from sprec.run import CONF

from . import test_amazon, test_goodreads, test_steam

ACCENTED = "Misérables, Les (1995)"
"""Other bytes in Latin-1 than in UTF-8, and a comma."""


def node(*overrides):
    """Return the dataset's settings that `python -m sprec.run` has with these words."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True)
    return validate_settings(config).dataset


def put(path, lines, encoding="utf-8"):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)


def ratings(world, separator):
    """Return the lines of a ratings file; raw ids count from 1."""
    return [
        separator.join(map(str, (user + 1, item + 1, f"{rating:g}", time)))
        for user, item, time, rating in world.frame.iter_rows()
    ]


def ml_100k(folder, world, items):
    put(folder / "ml-100k" / "u.data", ratings(world, "\t"))
    movies = [
        f"{i}|{title}|01-Jan-1995||http://us.imdb.com/|{'|'.join(str(int(each == genre)) for each in FLAGS)}"
        for i, (title, genre) in enumerate(items, start=1)
    ]
    put(folder / "ml-100k" / "u.item", movies, "latin-1")


def double_colon(place, world, items, encoding):
    put(place / "ratings.dat", ratings(world, "::"))
    movies = [f"{i}::{title}::{genre}|IMAX" for i, (title, genre) in enumerate(items, start=1)]
    put(place / "movies.dat", movies, encoding)


def ml_1m(folder, world, items):
    double_colon(folder / "ml-1m", world, items, "latin-1")
    put(folder / "ml-1m" / "users.dat", ["1::F::1::10::48067"])


def ml_10m(folder, world, items):
    double_colon(folder / "ml-10M100K", world, items, "utf-8")
    put(folder / "ml-10M100K" / "tags.dat", ["15::4973::excellent!::1215184630"])


def ml_csv(folder, world, items):
    put(folder / "ml-25m" / "ratings.csv", ["userId,movieId,rating,timestamp", *ratings(world, ",")])
    movies = [f'{i},"{title}",{genre}|IMAX' for i, (title, genre) in enumerate(items, start=1)]
    put(folder / "ml-25m" / "movies.csv", ["movieId,title,genres", *movies])


def goodreads(folder, world, items):
    books = [{"book_id": str(i), "title": title, "isbn": ""} for i, (title, _) in enumerate(items)]
    genres = [{"book_id": str(i), "genres": {genre: 3}} for i, (_, genre) in enumerate(items)]
    events = [
        test_goodreads.event(f"u{user}", str(item), int(rating), dated(time, "%a %b %d %H:%M:%S +0000 %Y"))
        for user, item, time, rating in world.frame.iter_rows()
    ]
    test_goodreads.write(folder, events, books, genres, pack=True)


def steam(folder, world, items):
    games = [
        {"id": str(i), "app_name": title, "genres": [genre], "price": 9.99}
        for i, (title, genre) in enumerate(items)
    ]
    reviews = [
        test_steam.review(f"u{user}", str(item), dated(time, "%Y-%m-%d"))
        for user, item, time, _ in world.frame.iter_rows()
    ]
    test_steam.write(folder, reviews, games, pack=True)


def amazon(year):
    """Return what writes reviews and metadata in the format of a year."""

    def write(folder, world, items):
        listed = [(f"B{i}", title, [genre]) for i, (title, genre) in enumerate(items)]
        events = [(f"A{user}", f"B{item}", *rest) for user, item, *rest in world.frame.iter_rows()]
        test_amazon.write(folder, year, events, listed, pack=True)

    return write


def dated(seconds, layout):
    return f"{datetime.fromtimestamp(seconds, UTC):{layout}}"


TEN = (range(10, 11), (617, 77, 78))  # 1172 interactions of 40 users: 1172 - 40 x 10 rows, 8:1:1 rounded down
FIVE = (range(5, 11), (777, 97, 98))  # 1172 - 40 x 5
WIDE = "dataset.filters.items_min=60"  # of 60 items, so the window moves back from 2017 to 2015


@pytest.mark.parametrize(
    ("words", "write", "expected", "noun"),
    [
        ("dataset=movielens", ml_100k, TEN, "movies"),
        ("dataset=movielens_1m", ml_1m, TEN, "movies"),
        ("dataset=movielens_10m", ml_10m, TEN, "movies"),
        ("dataset=movielens_25m", ml_csv, TEN, "movies"),
        ("dataset=movielens_latest_small", ml_csv, TEN, "movies"),
        ("dataset=goodreads", goodreads, TEN, "books"),
        ("dataset=steam", steam, FIVE, "games"),
        (f"dataset=cds_and_vinyl {WIDE}", amazon(2018), FIVE, "musics"),
        (f"dataset=cds_and_vinyl {WIDE} dataset.reader.format=2014", amazon(2014), FIVE, "musics"),
        (f"dataset=cds_and_vinyl {WIDE} dataset.reader.format=2023", amazon(2023), FIVE, "musics"),
    ],
    ids=lambda value: value.replace("dataset.", "") if isinstance(value, str) else "",
)
def test_raw_folder_becomes_the_rows_that_its_yaml_describes(tmp_path, world, words, write, expected, noun):
    settings = node(*words.split(), f"dataset.path={tmp_path}")
    titles = (ACCENTED, *world.catalog.titles[1:])
    genres = [settings["genres"][i % len(settings["genres"])] for i in range(len(titles))]
    write(tmp_path, world, list(zip(titles, genres, strict=True)))
    built = instantiate_node("dataset", with_local_folder(settings)).build()
    lengths, sizes = expected
    assert built.catalog.titles == titles
    assert [labels[0] for labels in built.catalog.genres] == genres
    assert tuple(len(getattr(built.split, name)) for name in ("train", "valid", "test")) == sizes
    assert {len(row.history) for row in built.split.train} == set(lengths)
    assert (built.name, built.genres) == (settings["name"], tuple(settings["genres"]))
    assert f" {noun} " in built.wording.instruction


def test_window_and_core_of_cds_and_vinyl_are_on(tmp_path, world):
    amazon(2018)(tmp_path, world, [(title, "Jazz") for title in world.catalog.titles])
    narrow = node("dataset=cds_and_vinyl", f"dataset.path={tmp_path}")
    with pytest.raises(ValueError, match="items_min = 10000, but only 60 items are left of all interactions"):
        instantiate_node("dataset", with_local_folder(narrow)).build()
