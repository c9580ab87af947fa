import numpy as np
import pytest

from sprec.data.readers.toy import GENRES, Toy, toy_dataset


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data():
    assert Toy(1).read().frame.equals(Toy(1).read().frame)
    assert Toy(1).read().catalog == Toy(1).read().catalog
    assert not Toy(1).read().frame.equals(Toy(2).read().frame)
    assert Toy(1).digest() == Toy(1).digest() != Toy(2).digest()


def test_titles_are_short_and_unique_with_a_year():
    titles = Toy().read().catalog.titles
    assert len(set(titles)) == 60
    assert all(title.endswith(")") and len(title.split()) == 3 for title in titles)


def test_each_genre_has_15_items_of_its_own_and_every_fifth_item_a_second_genre():
    genres = Toy().read().catalog.genres
    assert [sum(labels[0] == genre for labels in genres) for genre in GENRES] == [15] * 4
    assert sum(len(labels) == 2 for labels in genres) == 12


def test_users_are_loyal_to_one_genre():
    read = Toy().read()
    users = read.frame.group_by("user").agg("item")["item"].to_list()
    shares = [np.bincount(np.array(items) % 4).max() / len(items) for items in users]
    assert np.mean(shares) > 0.8


def test_the_next_item_mostly_follows_the_rule():
    dataset, toy = toy_dataset(), Toy()
    follows = [toy.follower(row.history[-1]) == row.target for row in dataset.split.test]
    assert 0.5 < np.mean(follows) < 0.8


def test_some_items_are_far_more_popular_than_others():
    counts = np.sort(toy_dataset().popularity)[::-1]
    assert counts[:6].sum() > 2.5 * counts[-30:].mean() * 6
    assert counts.min() > 0


def test_the_toy_dataset_has_about_2000_rows():
    split = toy_dataset().split
    assert len(split.train) > 1500
    assert len(split.valid) > 150
    assert len(split.test) > 150
    assert {len(row.history) for row in split.train} == {10}


def test_sizes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="toy items = 500; choose 8 to 120"):
        Toy(items=500)
    with pytest.raises(ValueError, match="1 <= shortest <= longest, got 9 and 3"):
        Toy(shortest=9, longest=3)
