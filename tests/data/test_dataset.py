from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sprec.data.catalog import Catalog
from sprec.data.dataset import Dataset, FromInteractions, count_popularity
from sprec.data.download.sources import Folder
from sprec.data.examples import EXAMPLE_SCHEMA, Example, Examples, Split, Wording
from sprec.data.filters import Filters
from sprec.data.interactions import INTERACTION_SCHEMA, Interactions
from sprec.data.readers.movielens import MovieLens
from sprec.data.readers.toy import GENRES, WORDING, Toy, toy_dataset

LATEST_SMALL = Path(__file__).parents[2].parent / "shared" / "data" / "ml-latest-small"


@dataclass(frozen=True)
class Fixed:
    """Two users: one with five interactions, one with two; item 4 is never consumed."""

    def digest(self):
        return "fixed"

    def read(self):
        rows = [
            (1, 0, 10, 5.0),
            (1, 1, 20, 5.0),
            (1, 2, 30, 5.0),
            (1, 3, 40, 5.0),
            (1, 0, 50, 5.0),
            (2, 0, 1, 5.0),
        ]
        catalog = Catalog(("A", "B", "C", "D", "E"), (("x",), ("y",), (), ("x",), ()))
        frame = pl.DataFrame(rows, schema=INTERACTION_SCHEMA, orient="row")
        return Interactions(frame, catalog, {"no_title": 7})


def fixed(**settings):
    values = {"history_min": 1, "history_max": 2, "ratios": (2, 1, 1), "genres": ("x",)} | settings
    return FromInteractions("fixed", Fixed(), wording=Wording("i", "l", "c"), **values)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_windows_are_split_by_time_and_all_drops_are_counted():
    split = fixed().build().split
    assert list(split.train) == [Example((0,), 1), Example((0, 1), 2)]
    assert list(split.valid) == [Example((1, 2), 3)]
    assert list(split.test) == [Example((2, 3), 0)]
    assert split.drops == {"no_title": 7, "duplicate_interactions": 0, "short_users": 1}


def test_popularity_counts_each_training_interaction_of_a_user_once():
    # The user's first three interactions, 0 1 2, are the first history and the two training targets.
    assert fixed().build().popularity.tolist() == [1, 1, 1, 0, 0]


def test_popularity_of_rows_without_users_counts_targets_only():
    rows = Examples.from_rows([Example((0, 1), 2), Example((0, 0), 2)])
    assert count_popularity(rows, items=4).tolist() == [0, 0, 2, 0]


def test_popularity_of_every_split_together_is_every_interaction():
    read = Toy().read()
    dataset = toy_dataset()
    parts = [part.frame for part in (dataset.split.train, dataset.split.valid, dataset.split.test)]
    counts = count_popularity(Examples(pl.concat(parts)), items=60)
    assert counts.tolist() == np.bincount(read.frame["item"].to_numpy(), minlength=60).tolist()


def test_the_content_digest_is_of_rows_and_not_of_where_they_came_from():
    """A reader whose code changes reads other rows out of the same files: nothing else would tell."""
    dataset = fixed().build()
    moved = replace(dataset, digest="of another file")
    shorter = replace(dataset, split=replace(dataset.split, test=dataset.split.test.take([])))
    assert moved.content_digest == dataset.content_digest
    assert shorter.digest == dataset.digest
    assert shorter.content_digest != dataset.content_digest
    assert replace(dataset, genres=()).content_digest != dataset.content_digest


def test_a_saved_dataset_loads_as_it_was(tmp_path):
    dataset = fixed().build()
    dataset.save(tmp_path / "d")
    loaded = Dataset.load(tmp_path / "d")
    assert (loaded.name, loaded.genres, loaded.wording, loaded.digest) == (
        "fixed",
        ("x",),
        Wording("i", "l", "c"),
        dataset.digest,
    )
    assert loaded.catalog == dataset.catalog
    assert loaded.popularity.tolist() == dataset.popularity.tolist()
    assert loaded.popularity.dtype == np.int64
    assert loaded.split.drops == dataset.split.drops
    for name in ("train", "valid", "test"):
        assert getattr(loaded.split, name).frame.equals(getattr(dataset.split, name).frame)


def test_titles_of_any_kind_survive_saving(tmp_path):
    titles = ("A, B 'C' (1999)", "WALL·E", "Á köldum klaka", "x" * 600, "日本")
    catalog = Catalog(titles, ((), ("g", "h"), (), (), ("g",)))
    rows = Examples.from_rows([Example((0, 1), 2)])
    split = Split(rows, rows, rows)
    Dataset("d", catalog, split, np.zeros(5, np.int64), ("g",), Wording("i", "l"), "0").save(tmp_path)
    assert Dataset.load(tmp_path).catalog == catalog


def test_saving_twice_writes_the_same_bytes(tmp_path):
    toy_dataset().save(tmp_path / "a")
    toy_dataset().save(tmp_path / "b")
    Dataset.load(tmp_path / "a").save(tmp_path / "c")
    assert files(tmp_path / "a") == files(tmp_path / "b") == files(tmp_path / "c")
    assert sorted(files(tmp_path / "a")) == [
        "catalog.parquet",
        "dataset.json",
        "test.parquet",
        "train.parquet",
        "valid.parquet",
    ]


def test_a_folder_that_is_no_dataset_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"has no catalog\.parquet: it holds no saved dataset; build"):
        Dataset.load(tmp_path)


def test_a_sampled_dataset_draws_each_split_by_its_own_stream():
    dataset = toy_dataset()
    asked = []

    def stream(name):
        asked.append(name)
        return np.random.default_rng(len(name))

    small = dataset.sampled(100, 20, None, stream)
    assert asked == ["train", "valid", "test"]
    assert (len(small.split.train), len(small.split.valid)) == (100, 20)
    assert list(small.split.test) == list(dataset.split.test)
    assert small.popularity is dataset.popularity
    assert dataset.stopping_rows is small.stopping_rows is dataset.split.valid
    again = small.sampled(None, 5, None, stream)
    assert (len(again.split.valid), again.stopping_rows) == (5, dataset.split.valid)
    assert again.stopping_digest == dataset.stopping_digest == dataset.part_digests["valid"]
    assert small.split.drops == dataset.split.drops


def test_a_sample_has_a_digest_of_its_own_that_depends_on_the_rows_drawn():
    def sampled(train, seed):
        return toy_dataset().sampled(train, 20, 20, lambda _: np.random.default_rng(seed)).digest

    assert sampled(100, 1) == sampled(100, 1)
    assert len({toy_dataset().digest, sampled(100, 1), sampled(100, 2), sampled(101, 1)}) == 4


def test_missing_rows_of_a_sample_are_counted():
    small = toy_dataset().sampled(100, 20, 1000, lambda _: np.random.default_rng(0))
    rows = len(toy_dataset().split.test)
    assert len(small.split.test) == rows
    assert small.split.drops == {"duplicate_interactions": 0, "short_users": 0, "test_short": 1000 - rows}


@pytest.mark.parametrize(
    "change",
    [
        {"history_min": 2},
        {"history_max": 3},
        {"ratios": (3, 1, 1)},
        {"genres": ("y",)},
        {"split": "leave_one_out"},
        {"drop_repeats": True},
        {"filters": Filters(core=2)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_changes_the_digest(change):
    assert fixed(**change).digest() != fixed().digest()


def test_lists_and_tuples_give_the_same_digest():
    assert fixed(ratios=[2, 1, 1], genres=["x"]).digest() == fixed().digest()


def test_a_selected_genre_that_no_item_has_is_refused_with_the_ones_there():
    with pytest.raises(
        ValueError,
        match=r"fixed: no item has the selected genre 'z'; choose from x, y \(field 'genres' of items\)",
    ):
        fixed(genres=("x", "z")).build()


def test_a_selected_genre_that_is_named_twice_is_refused():
    """MGU would be a mean over three genres, one of them always empty."""
    with pytest.raises(ValueError, match="fixed: the selected genre 'x' is named 2 times; name it once"):
        fixed(genres=("x", "y", "x")).build()


def test_each_users_last_rows_are_for_testing_where_that_split_is_chosen():
    split = fixed(split="leave_one_out").build().split
    assert [row.target for part in (split.train, split.valid, split.test) for row in part] == [1, 2, 3, 0]


def test_repeated_targets_are_dropped_and_counted_where_asked_for():
    dataset = fixed(history_max=4, drop_repeats=True).build()
    assert [row.target for row in dataset.split.test] == [3]
    counts = {"no_title": 7, "duplicate_interactions": 0, "short_users": 1, "repeated_targets": 1}
    assert dataset.split.drops == counts


@dataclass(frozen=True)
class Doubled:
    """The interactions of `Fixed`, the first of them twice."""

    def digest(self):
        return "doubled"

    def read(self):
        read = Fixed().read()
        return Interactions(pl.concat([read.frame[:1], read.frame]), read.catalog)


@pytest.mark.parametrize(("drop", "rows"), [(False, 5), (True, 4)])
def test_duplicates_are_counted_and_dropped_where_asked_for(drop, rows):
    dataset = FromInteractions(
        *("doubled", Doubled(), ("x",), Wording("i", "l")),
        history_min=1,
        ratios=(2, 1, 1),
        drop_duplicates=drop,
    ).build()
    split = dataset.split
    assert split.drops["duplicate_interactions"] == 1
    assert len(split.train) + len(split.valid) + len(split.test) == rows


@dataclass(frozen=True)
class DoubledLast(Doubled):
    """User 2's only interaction stands there twice."""

    def read(self):
        read = Fixed().read()
        return Interactions(pl.concat([read.frame, read.frame[-1:]]), read.catalog)


@pytest.mark.parametrize(("drop", "short"), [(False, 0), (True, 1)])
def test_users_who_become_short_by_dropping_duplicates_are_counted(drop, short):
    dataset = FromInteractions(
        *("doubled", DoubledLast(), ("x",), Wording("i", "l")),
        history_min=1,
        ratios=(2, 1, 1),
        drop_duplicates=drop,
    ).build()
    assert dataset.split.drops["short_users"] == short


@dataclass(frozen=True)
class Pairs:
    """Three users with the items 0 and 1; the last one has item 2 as well, written twice."""

    def digest(self):
        return "pairs"

    def read(self):
        rows = [(user, item, 10 * user + item, 5.0) for user in range(3) for item in range(2)]
        rows += [(2, 2, 22, 5.0)] * 2
        catalog = Catalog(("A", "B", "C"), (("x",), (), ()))
        return Interactions(pl.DataFrame(rows, schema=INTERACTION_SCHEMA, orient="row"), catalog)


@pytest.mark.parametrize(("drop", "titles"), [(False, ("A", "B", "C")), (True, ("A", "B"))])
def test_a_core_counts_no_interaction_that_is_dropped_as_a_duplicate(drop, titles):
    dataset = FromInteractions(
        *("pairs", Pairs(), ("x",), Wording("i", "l")),
        history_min=1,
        ratios=(1, 1, 1),
        drop_duplicates=drop,
        filters=Filters(core=2),
    ).build()
    assert dataset.catalog.titles == titles
    drops = dataset.split.drops
    assert (drops["core_items"], drops["duplicate_interactions"]) == (3 - len(titles), 1)


def test_genres_default_to_the_commonest_of_the_data():
    assert fixed(genres=None).build().genres == ("x", "y")


def test_filters_shrink_the_catalogue_and_count_what_they_drop():
    dataset = fixed(filters=Filters(until="1970-01-01", since="1969-01-01"))
    with pytest.raises(ValueError, match=r"interactions: no interaction is left by Filters\(core=0"):
        dataset.build()
    dataset = fixed(filters=Filters(since="1970-01-01")).build()
    assert dataset.catalog.titles == ("A", "B", "C", "D")
    assert dataset.split.drops["outside_window"] == 0


def test_users_with_too_few_items_are_said_with_file_and_field(caplog):
    with caplog.at_level("INFO"):
        fixed().build()
    assert caplog.messages == [
        "fixed: reading the interactions",
        "interactions: field 'user' names 1 users of 1 interactions or fewer; they have no row",
    ]


def test_too_little_data_names_the_empty_split():
    with pytest.raises(ValueError, match="the train split is empty: 0 rows at 2:1:1"):
        fixed(history_min=9, history_max=9).build()


def test_the_toy_dataset_is_what_its_parts_say():
    dataset = toy_dataset(3)
    reader = FromInteractions("toy", Toy(3), GENRES, WORDING)
    assert dataset.digest == reader.digest()
    assert dict(dataset.split.train.frame.schema) == {
        **EXAMPLE_SCHEMA,
        "user": pl.Int64(),
        "history": pl.List(pl.Int32),
    }


@pytest.mark.skipif(not LATEST_SMALL.exists(), reason=f"no {LATEST_SMALL}")
def test_the_real_latest_small_gives_94736_windows():
    reader = MovieLens(Folder(LATEST_SMALL, ("movies.csv", "ratings.csv*")), "latest-small")
    dataset = FromInteractions("ml-latest-small", reader, ("Drama",), WORDING).build()
    sizes = [len(part) for part in (dataset.split.train, dataset.split.valid, dataset.split.test)]
    assert sizes == [75_788, 9_474, 9_474]
    assert sum(sizes) == 94_736
    assert dataset.split.drops["short_users"] == 0
    train = dataset.split.train.frame
    assert dataset.popularity.sum() == train.height + 10 * train["user"].n_unique()


def test_equally_popular_items_come_by_their_first_appearance_as_targets():
    train = Examples.from_rows([Example((0,), target) for target in (3, 1, 3, 1)])
    none = Examples.from_rows([])
    catalog = Catalog(tuple("ABCDE"), ((),) * 5)
    popularity = np.array([2, 2, 0, 2, 0])
    dataset = Dataset("d", catalog, Split(train, none, none), popularity, (), Wording("i", "l"), "0")
    assert dataset.most_popular(5).tolist() == [3, 1, 0, 2, 4]
