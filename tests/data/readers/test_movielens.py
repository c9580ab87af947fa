import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sprec.data.download.sources import Folder, SourceError
from sprec.data.readers.movielens import MovieLens

LATEST_SMALL = Path(__file__).parents[3].parent / "shared" / "data" / "ml-latest-small"
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEM = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
LONG = "Long " * 120 + "(2001)"


def recbole(folder, events="196\t1\t3\t881250949\n", items=None):
    (folder / "ml-100k.inter").write_text(INTER + events, encoding="utf-8")
    (folder / "ml-100k.item").write_text(
        ITEM
        + (
            items
            or "1\tToy Story\t1995\tAnimation Children's Comedy\n"
            "2\tMisérables, Les\t1995\tDrama Film-Noir Sci-Fi\n"
            "3\tLand Before Time III (1995)\tV\tAnimation\n"
            "4\tunkonwn\tunkonwn\tunknown\n"
            "5\tGood Morning\t1971\tunknown\n"
            "6\tToy Story\t1995\tWar\n"
        ),
        encoding="utf-8",
    )
    return MovieLens(Folder(folder), "100k")


def flags(*chosen):
    return "|".join("1" if place in chosen else "0" for place in range(19))


def grouplens(folder):
    (folder / "u.data").write_text("196\t1\t3\t881250949\n186\t2\t5\t891717742\n186\t4\t1\t891717743\n")
    (folder / "u.item").write_text(
        f"1|Toy Story (1995)|01-Jan-1995||http://a|{flags(3, 4, 5)}\n"
        f"2|Misérables, Les (1995)|01-Jan-1995||http://b|{flags(8, 10, 15)}\n"
        f"4|unknown||||{flags(0)}\n",
        encoding="latin-1",
    )
    return MovieLens(Folder(folder), "100k")


def csv_edition(
    folder,
    events="1,10,4.0,964982703\n2,20,0.5,964981247\n",
    movies=None,
    pack=False,
    edition="latest-small",
):
    (folder / "movies.csv").write_text(
        "movieId,title,genres\r\n"
        + (
            movies
            or "10,Heat (1995),Action|Crime\r\n"
            '20,"Good, the ""Bad"" and\r\nthe Ugly, The (1966)",Western\r\n'
            f"30,{LONG},(no genres listed)\r\n"
        ),
        encoding="utf-8",
    )
    text = ("userId,movieId,rating,timestamp\n" + events).encode()
    (folder / ("ratings.csv.gz" if pack else "ratings.csv")).write_bytes(
        gzip.compress(text) if pack else text
    )
    return MovieLens(Folder(folder), edition)


def double_colon(
    folder, edition="10m", encoding="utf-8", events="1::122::5::838985046\n1::185::2.5::838983525\n"
):
    inner = folder / "ml-10M100K"
    inner.mkdir()
    (inner / "ratings.dat").write_text(events)
    (inner / "movies.dat").write_text(
        "122::WALL·E (2008)::Animation|Sci-Fi\n185::Star Wars: Episode IV - A New Hope (1977)::Action\n",
        encoding=encoding,
    )
    return MovieLens(Folder(folder), edition)


def test_recbole_titles_get_their_year_back_unless_they_have_it(tmp_path):
    read = recbole(tmp_path, "7\t1\t3\t900000009\n7\t3\t4\t900000008\n").read()
    assert read.catalog.titles == (
        "Toy Story (1995)",
        "Misérables, Les (1995)",
        "Land Before Time III (1995)",
        "Good Morning (1971)",
    )
    assert read.catalog.genres[1] == ("Drama", "Film-Noir", "Sci-Fi")
    assert read.catalog.genres[3] == ()
    assert read.frame.to_dict(as_series=False) == {
        "user": [7, 7],
        "item": [0, 2],
        "time": [900_000_009, 900_000_008],
        "rating": [3.0, 4.0],
    }


def test_two_movies_of_one_title_are_one_item_with_both_genres(tmp_path):
    read = recbole(tmp_path, "7\t1\t3\t900000009\n8\t6\t4\t900000009\n").read()
    assert read.frame["item"].to_list() == [0, 0]
    assert read.catalog.genres[0] == ("Animation", "Children's", "Comedy", "War")
    assert read.drops["merged_titles"] == 1


@pytest.mark.parametrize("build", [recbole, grouplens], ids=["recbole", "grouplens"])
def test_the_movie_without_a_title_goes_with_its_ratings_and_is_counted(build, tmp_path):
    source = (
        build(tmp_path, "7\t4\t3\t900000009\n7\t1\t3\t900000009\n") if build is recbole else build(tmp_path)
    )
    read = source.read()
    assert read.drops["no_title"] == 1
    assert read.catalog.find("unknown") is None
    assert read.catalog.find("unkonwn") is None


def test_the_original_100k_gives_the_same_titles_and_genres_as_recboles(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    items = "1\tToy Story\t1995\tAnimation Children's Comedy\n"
    items += "2\tMisérables, Les\t1995\tDrama Film-Noir Sci-Fi\n4\tunkonwn\tunkonwn\tunknown\n"
    theirs, ours = grouplens(tmp_path / "a").read(), recbole(tmp_path / "b", items=items).read()
    assert theirs.catalog == ours.catalog
    assert theirs.frame.rows() == [(196, 0, 881250949, 3.0), (186, 1, 891717742, 5.0)]


@pytest.mark.parametrize("pack", [False, True], ids=["csv", "csv.gz"])
def test_latest_small_titles_may_hold_commas_quotes_line_breaks_and_600_characters(tmp_path, pack):
    read = csv_edition(tmp_path, pack=pack).read()
    assert read.catalog.titles == ("Heat (1995)", "Good, the 'Bad' and the Ugly, The (1966)", LONG)
    assert read.catalog.genres == (("Action", "Crime"), ("Western",), ())
    assert read.frame.rows() == [(1, 0, 964982703, 4.0), (2, 1, 964981247, 0.5)]


def test_25m_is_written_as_latest_small_is(tmp_path):
    read = csv_edition(tmp_path, edition="25m").read()
    assert read.frame.rows() == [(1, 0, 964982703, 4.0), (2, 1, 964981247, 0.5)]


def test_two_movies_of_one_title_can_be_told_apart(tmp_path):
    reader = recbole(tmp_path, "7\t1\t3\t900000009\n8\t6\t4\t900000009\n")
    read = MovieLens(reader.source, "100k", duplicates="numbered").read()
    assert [read.catalog.titles[item] for item in read.frame["item"]] == [
        "Toy Story (1995)",
        "Toy Story (1995) (2)",
    ]
    assert read.drops["numbered_titles"] == 1
    assert reader.digest() != MovieLens(reader.source, "100k", duplicates="numbered").digest()


def test_a_movie_without_a_title_is_said_with_file_line_and_field(tmp_path, caplog):
    csv_edition(tmp_path, movies="10,Heat (1995),Crime\n20,,Drama\n").read()
    assert caplog.messages == [
        f"{tmp_path}/movies.csv:3: field 'title' is missing (first of 1 items left out)"
    ]


@pytest.mark.parametrize(("edition", "encoding"), [("1m", "latin-1"), ("10m", "utf-8")])
def test_double_colon_editions_read_titles_in_their_own_encoding(tmp_path, edition, encoding):
    read = double_colon(tmp_path, edition, encoding).read()
    assert read.catalog.titles == ("WALL·E (2008)", "Star Wars: Episode IV - A New Hope (1977)")
    assert read.frame.rows() == [(1, 0, 838985046, 5.0), (1, 1, 838983525, 2.5)]


def test_low_ratings_are_kept_unless_a_floor_is_set(tmp_path):
    reader = double_colon(tmp_path)
    assert reader.read().drops["below_min_rating"] == 0
    floored = MovieLens(reader.source, "10m", min_rating=3).read()
    assert floored.drops["below_min_rating"] == 1
    assert floored.frame.height == 1


def test_the_digest_changes_with_the_files_the_edition_and_the_floor(tmp_path):
    reader = recbole(tmp_path)
    digests = {
        reader.digest(),
        MovieLens(reader.source, "1m").digest(),
        MovieLens(reader.source, "100k", 3).digest(),
    }
    assert reader.digest() == MovieLens(Folder(tmp_path), "100k", 0).digest()
    recbole(tmp_path, "7\t1\t3\t900000009\n")
    assert len({*digests, reader.digest()}) == 4


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            "7\t1\t3\t900000009\n7\t1\tgood\t900000009\n",
            r"inter:3: field 'rating' is 'good', expected a number; correct or delete",
        ),
        ("7\t1\t3\t900000009\nx7\t1\t3\t900000009\n", r"inter:3: field 'user' is 'x7', expected a number"),
        (
            "7\t1\t3\t900000009\n7\t1\t3\t881250949000\n",
            r"inter:3: field 'time' is 881250949000, expected seconds since 1970; correct this line",
        ),
        (
            "7\t1\t3\t900000009\n7\t1\t3\t10207\n",
            r"inter:3: field 'time' is 10207, expected seconds since 1970; correct this",
        ),
        ("7\t1\t3\tnan\n", r"inter:2: field 'time' is 'nan', expected a number"),
        ("7\t1\t3\t900000009\n7\t1\t3\n", r"inter:3: 3 fields, expected 4; correct or delete this line"),
        ("7\t1\t3\t900000009\n\n7\t1\t3\t900000009\n", r"inter:3: 1 fields, expected 4"),
        ("7\t1\t3\t900000009\n7\t1\t3\t900000009\t900000009\n", r"inter:3: 5 fields, expected 4"),
        ("7\t1\t\t900000009\n", r"inter:2: field 'rating' is '', expected a number"),
        (
            "7\t1\t3\t900000009\n7\t99\t3\t900000009\n",
            r"inter:3: field 'item' is 99, which ml-100k\.item does not list \(1 such",
        ),
        ("", r"ml-100k\.inter has no rows; fetch the file anew"),
    ],
    ids=[
        "rating",
        "user",
        "milliseconds",
        "days",
        "nan",
        "short",
        "blank",
        "wide",
        "empty field",
        "unknown item",
        "no rows",
    ],
)
def test_a_bad_rating_names_file_line_and_field(tmp_path, events, message):
    with pytest.raises(ValueError, match=message) as caught:
        recbole(tmp_path, events).read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("1::122::5::838985046\n1::122::5\n", r"ratings\.dat:2: 3 fields, expected 4"),
        ("1::122::x::838985046\n", r"ratings\.dat:1: field 'rating' is 'x'"),
        (
            "1::122::5::838985046\n1::7::5::838985046\n",
            r"ratings\.dat:2: field 'item' is 7, which movies\.dat",
        ),
        ("1,122,5,838985046\n", r"ratings\.dat:1: 1 fields, expected 4"),
    ],
)
def test_a_bad_double_colon_line_is_named_too(tmp_path, events, message):
    with pytest.raises(ValueError, match=message):
        double_colon(tmp_path, events=events).read()


@pytest.mark.parametrize(
    ("movies", "message"),
    [
        ("10,Heat (1995)\n", r"movies\.csv:2: 2 fields, expected 3"),
        (
            '10,Heat (1995),Crime\n20,"Ran,War\n30,Emma,Drama\n',
            r"movies\.csv:3: no CSV \(.*; close the quote",
        ),
        ("ten,Heat (1995),Crime\n", r"movies\.csv:2: field 'item' is 'ten', expected a number"),
    ],
)
def test_a_bad_movie_is_named(tmp_path, movies, message):
    with pytest.raises(ValueError, match=message):
        csv_edition(tmp_path, movies=movies).read()


def test_a_missing_column_is_named_with_the_ones_there(tmp_path):
    reader = csv_edition(tmp_path)
    (tmp_path / "ratings.csv").write_text("userId,movieId,stars,timestamp\n1,10,4.0,9\n")
    with pytest.raises(
        ValueError,
        match=r"ratings\.csv:1: no column 'rating' among '.* stars, timestamp'; the header needs userId",
    ):
        reader.read()


def test_a_byte_that_is_no_utf8_is_named(tmp_path):
    reader = csv_edition(tmp_path)
    (tmp_path / "movies.csv").write_bytes("movieId,title,genres\n10,Misérables,Drama\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"movies\.csv:2: byte 0xe9 is not utf-8; save the file as utf-8"):
        reader.read()


def test_a_packed_file_cut_short_is_named(tmp_path):
    reader = csv_edition(tmp_path, "1,10,4.0,964982703\n" * 5000, pack=True)
    path = tmp_path / "ratings.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"ratings\.csv\.gz is damaged .*; fetch the file anew"):
        reader.read()


def test_a_folder_without_the_edition_says_what_is_wanted_and_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SourceError, match=r"no file ml-100k\.inter or u\.data; it holds notes\.txt; 100k is"):
        MovieLens(Folder(tmp_path), "100k").read()


def test_a_million_double_colon_ratings_read_in_seconds(tmp_path):
    reader = double_colon(tmp_path)
    rows = 1_000_000
    blank = pl.repeat("", rows, eager=True)
    users = np.sort(np.random.default_rng(0).integers(1, 7000, rows))
    columns = {
        "u": users,
        "a": blank,
        "i": [122] * rows,
        "b": blank,
        "r": [3.5] * rows,
        "c": blank,
        "t": [900_000_009] * rows,
    }
    pl.DataFrame(columns).write_csv(
        tmp_path / "ml-10M100K" / "ratings.dat", separator=":", include_header=False, quote_style="never"
    )
    read = reader.read()
    assert read.frame.height == rows
    assert read.frame["user"].to_numpy().tolist() == users.tolist()


@pytest.mark.skipif(not LATEST_SMALL.exists(), reason=f"no {LATEST_SMALL}")
def test_the_real_latest_small_has_100836_ratings_of_9737_titles():
    read = MovieLens(Folder(LATEST_SMALL, ("movies.csv", "ratings.csv*")), "latest-small").read()
    assert read.frame.height == 100_836
    assert len(read.catalog) == 9_737
    assert {reason: count for reason, count in read.drops.items() if count} == {"merged_titles": 5}
    assert read.frame["user"].n_unique() == 610
