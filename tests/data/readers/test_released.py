import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from sprec.data.download.sources import Folder, SourceError
from sprec.data.examples import Example, Wording
from sprec.data.formats.released_rows import find_quoted, parse_row, read_rows
from sprec.data.readers.released import Released
from sprec.data.repairs import repair_mojibake

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
MEMBERS = ("train.json.gz", "valid.json.gz", "test.json.gz", "title_genres.json.gz", "eval/*")
LONG = "Long " * 120 + "Title"


def row(history, target, lead="before: ", close=", please", end="\n"):
    shown = lead + ", ".join(f'"{title}"' for title in history) + close if history else lead + close
    return {"instruction": "Recommend", "input": shown, "output": f'"{target}"{end}'}


def write(folder, rows, valid=None, test=None, lines=False, **extra):
    """Write a released folder whose three splits hold these rows."""
    for name, part in (("train", rows), ("valid", valid or rows), ("test", test or rows)):
        text = "\n".join(map(json.dumps, part)) if lines else json.dumps(part)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    for name, content in extra.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return Folder(folder)


def released(folder, rows, genres=(), **settings):
    extra = {
        key: settings.pop(key)
        for key in ("name2id", "title_genres", "name2genre", "genre_dict")
        if key in settings
    }
    return Released("tiny", write(folder, rows, **extra), genres=genres, **settings)


@pytest.mark.parametrize(
    "titles",
    [
        ["Heat", "Ran"],
        ["Heat"],
        ['The "Real" Thing', "Ran"],
        ['"Great Performances" Cats', 'Spy Fox in "Dry Cereal"'],
        ["Good, the Bad", "Two\nLines", LONG],
        ["ends with comma,", "A, B, C"],
    ],
    ids=[
        "two",
        "one",
        "quotes inside",
        "quotes at the ends",
        "commas, line breaks, 600 characters",
        "commas",
    ],
)
def test_titles_come_back_from_a_row_as_they_were(titles):
    record = row(titles, titles[0])
    parsed = parse_row(record["instruction"], record["input"], record["output"])
    assert list(parsed.history) == titles
    assert parsed.target == titles[0]


def test_the_texts_around_the_titles_are_the_wording():
    parsed = parse_row("Do", 'watched before:"A", "B"\n ', '"T"')
    assert parsed.wording == Wording("Do", "watched before:", "\n ")


def test_a_row_without_titles_has_no_history():
    assert parse_row("Do", "watched before: nothing", '"T"').history == ()


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ('"T"', "T"),
        ('"T"\n', "T"),
        (' "T" \n', "T"),
        ("T", "T"),
        ('""', ""),
        ('"', '"'),
        ('"A "B""', 'A "B"'),
    ],
)
def test_the_target_loses_white_space_and_one_pair_of_quotes(output, target):
    assert parse_row("", '"A"', output).target == target


def test_the_released_regular_expression_cuts_titles_at_inner_quotes():
    text = '"Great Performances" and ""Cats""'
    assert find_quoted(text) == ["Great Performances", "", ""]
    assert find_quoted('"The "Real" Thing"') == ["The ", " Thing"]
    assert find_quoted('"A", ""', empty=False) == ["A"]
    assert find_quoted("no quotes") == []


@pytest.mark.parametrize("lines", [False, True], ids=["list", "lines"])
def test_rows_become_ids_of_the_catalogue_in_order(tmp_path, lines):
    source = write(tmp_path, [row(["B", "A"], "C"), row(["C"], "A")], lines=lines, name2id={"A": 0, "D": 1})
    dataset = Released("tiny", source, genres=()).build()
    assert dataset.catalog.titles == ("A", "D", "B", "C")
    assert list(dataset.split.train) == [Example((2, 0), 3), Example((3,), 0)]
    assert dataset.wording == Wording("Recommend", "before: ", ", please")
    assert dataset.split.train.frame["user"].null_count() == 2


def test_packed_files_are_read_too(tmp_path):
    source = write(tmp_path, [row(["A"], "B")])
    plain = Released("tiny", source, genres=()).build()
    for path in list(tmp_path.glob("*.json")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = Released("tiny", source, genres=()).build()
    assert list(packed.split.test) == list(plain.split.test)
    assert packed.catalog == plain.catalog


def test_wrongly_read_titles_are_repaired_and_counted_or_left_by_the_switch(tmp_path):
    rows = [row(["WALLÂ·E (2008)", "Heat"], "AmÃ©lie"), row(["WALL·E (2008)"], "R&amp;B")]
    repaired = released(tmp_path, rows).build()
    assert repaired.catalog.titles == ("WALL·E (2008)", "Heat", "Amélie", "R&B")
    assert repaired.split.drops["repaired_mojibake"] == 6  # two in each of the three files
    assert repaired.split.drops["repaired_entities"] == 3
    assert repaired.split.drops["merged_titles"] == 1
    left = released(tmp_path, rows, repair=False).build()
    assert left.catalog.titles == ("WALLÂ·E (2008)", "Heat", "AmÃ©lie", "WALL·E (2008)", "R&amp;B")
    assert left.split.drops["repaired_mojibake"] == 0


@pytest.mark.parametrize("title", ["Amélie", "Ünknown", "日本", "plain", "Ã", "™ & Â"])
def test_what_is_no_misread_utf8_stays(title):
    assert repair_mojibake(title) == title


def test_pieces_of_web_pages_go_and_are_counted_or_stay_by_the_switch(tmp_path):
    span = '<span class="a-size-medium a-color-secondary a-text-normal"'
    rows = [row([span, "A"], "B"), row(["A"], span), row([span], "B")]
    dataset = released(tmp_path, rows).build()
    assert dataset.catalog.titles == ("A", "B")
    assert list(dataset.split.train) == [Example((0,), 1)]
    assert dataset.split.drops["html_titles"] == 6
    assert dataset.split.drops["train_html_target"] == 1
    assert dataset.split.drops["train_no_history"] == 1
    assert len(released(tmp_path, rows, drop_html=False).build().split.train) == 3


def test_rows_without_history_or_target_go_and_are_counted(tmp_path):
    rows = [row(["A"], "B"), row([], "B"), row(["A"], " "), row(["", "A"], "B")]
    dataset = released(tmp_path, rows).build()
    assert list(dataset.split.test) == [Example((0,), 1), Example((0,), 1)]
    drops = dataset.split.drops
    assert (drops["test_no_history"], drops["test_no_target"], drops["empty_titles"]) == (
        1,
        1,
        3,
    )  # one in each file


def test_the_wording_is_that_of_a_row_that_is_used_and_other_wordings_are_counted(tmp_path):
    rows = [row([], "B", lead="nothing yet", close=""), row(["A"], "B"), row(["A"], "B", lead="then: ")]
    dataset = released(tmp_path, rows).build()
    assert dataset.wording == Wording("Recommend", "before: ", ", please")
    assert dataset.split.drops["other_wording"] == 3  # one in each file
    named = released(tmp_path, rows, wording=Wording("Do", "seen: ")).build()
    assert (named.wording, named.split.drops["other_wording"]) == (Wording("Do", "seen: "), 0)


def test_repeated_targets_stay_unless_the_switch_says_otherwise(tmp_path):
    rows = [row(["A", "B"], "A"), row(["A"], "B")]
    assert len(released(tmp_path, rows).build().split.train) == 2
    strict = released(tmp_path, rows, drop_repeats=True).build()
    assert list(strict.split.train) == [Example((0,), 1)]
    assert strict.split.drops["train_repeated_target"] == 1


def test_a_closed_catalogue_drops_what_it_does_not_list(tmp_path):
    rows = [row(["A", "X"], "B"), row(["A"], "X"), row(["X"], "B")]
    dataset = released(tmp_path, rows, name2id={"A": 0, "B": 1}, extend_catalog=False).build()
    assert dataset.catalog.titles == ("A", "B")
    assert list(dataset.split.train) == [Example((0,), 1)]
    drops = dataset.split.drops
    assert drops["train_off_catalog_target"] == 1
    assert drops["train_no_history"] == 1
    assert drops["off_catalog_titles"] == 3


def test_what_a_regular_expression_left_of_quoted_titles_is_no_item(tmp_path):
    listed = {"": 0, " Cats (1998)": 1, ", ": 2, "Best Of ": 3, "Cats": 4}
    dataset = released(tmp_path, [row(["A"], "B")], name2id=listed).build()
    assert dataset.catalog.titles == ("Cats", "A", "B")
    assert dataset.split.drops["fragments"] == 4


def test_quotes_in_titles_match_between_rows_and_genre_files(tmp_path):
    dataset = released(
        tmp_path,
        [row(['"Great" Cats'], "B")],
        title_genres={'"Great" Cats': ["Musical"]},
        genres=("Musical",),
    ).build()
    assert dataset.catalog.titles[0] == "'Great' Cats"
    assert dataset.catalog.genres[0] == ("Musical",)


def test_the_first_genre_file_that_knows_an_item_wins_and_root_genres_are_ignored(tmp_path):
    dataset = released(
        tmp_path,
        [row(["A", "B"], "C")],
        title_genres={"A": ["Jazz"], "B": []},
        name2genre={"A": ["Pop"], "B": ["CDs & Vinyl", "Metal"]},
        genres=None,
    ).build()
    assert dataset.catalog.genres == (("Jazz",), ("Metal",), ())
    assert dataset.genres == ("Jazz", "Metal")


def test_selected_genres_are_those_of_the_setting_else_of_the_file_else_the_commonest(tmp_path):
    known = {"title_genres": {"A": ["x", "y"], "B": ["y"], "C": ["z"]}}
    rows = [row(["A", "B"], "C")]
    assert released(tmp_path, rows, genres=None, **known).build().genres == ("y", "x", "z")
    known["genre_dict"] = {"z": 0, "x": 0}
    assert released(tmp_path, rows, genres=None, **known).build().genres == ("z", "x")
    assert released(tmp_path, rows, genres=("x",), **known).build().genres == ("x",)


def test_two_spellings_of_a_title_in_one_file_have_the_genres_of_both(tmp_path):
    spelled = {"Amélie": ["Romance"], "AmÃ©lie": ["Comedy", "Romance"]}
    dataset = released(tmp_path, [row(["Amélie"], "Ran")], title_genres=spelled, genres=None).build()
    assert dataset.catalog.genres == (("Romance", "Comedy"), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[{"instruction": "i", "input": "x"}]',
            r"train\.json: row 1 has no text 'output'; a row needs instruction",
        ),
        ('[{"instruction": "i", "input": 3, "output": ""}]', "row 1 has no text 'input'"),
        ("[3]", "row 1 has no text 'instruction'"),
        (
            json.dumps([{**row(["A"], "B"), "input": '"A","B"'}]),
            "row 1 has no single title in .*one space between",
        ),
        (json.dumps([{**row(["A"], "B"), "input": '"A",\n"B"'}]), "row 1 has no single title"),
        (json.dumps([row(["A"], "B"), row(["A"], 'B", "C')]), "row 2 has no single title .* in `output`"),
        ('[{"a": 1},\n{"b" 2}]', r"train\.json:2: no JSON \(Expecting ':' delimiter\); write a JSON list"),
        ('{"instruction": "i", "input": "", "output": ""}\n{"a": \n', r"train\.json:2: no JSON"),
        ("", r"train\.json:1: no JSON"),
    ],
    ids=[
        *("missing field", "wrong type", "no object"),
        *("no space", "line break", "two targets"),
        *("broken list", "broken line", "empty file"),
    ],
)
def test_a_faulty_file_names_the_row_and_the_field(tmp_path, text, message):
    reader = released(tmp_path, [row(["A"], "B")])
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        reader.build()


def test_a_split_with_no_usable_row_is_named(tmp_path):
    source = write(tmp_path, [row(["A"], "B")], test=[row([], "B")])
    with pytest.raises(
        ValueError, match=r"the test split is empty: 1 rows in test\.json, none usable .*no_history"
    ):
        Released("tiny", source, genres=()).build()


def test_a_missing_file_is_named(tmp_path):
    reader = released(tmp_path, [row(["A"], "B")])
    (tmp_path / "valid.json").unlink()
    with pytest.raises(SourceError, match=r"has no file valid\.json; it holds test\.json, train\.json"):
        reader.build()


@pytest.mark.parametrize(
    "change",
    [
        {"repair": False},
        {"drop_html": False},
        {"drop_repeats": True},
        {"genres": ("x",)},
        {"wording": Wording("i", "l")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_changes_the_digest(tmp_path, change):
    rows = [row(["A"], "B")]
    assert released(tmp_path, rows, **change).digest() != released(tmp_path, rows).digest()


def real(name, **settings):
    return Released(name, Folder(SHARED / name, MEMBERS), **settings).build()


needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED}")


@needs_shared
@pytest.mark.parametrize(
    ("name", "items", "sizes", "counted"),
    [
        ("movielens", 10_677, (4096, 512, 1000), {"repaired_mojibake": 724, "fragments": 3}),
        ("goodreads", 4_072, (4096, 512, 1000), {"merged_titles": 5, "fragments": 2}),
        (
            "cds_and_vinyl",
            13_103,
            (4028, 508, 985),
            {
                "cleaned_titles": 7,
                "html_titles": 668,
                "train_html_target": 68,
                "valid_html_target": 4,
                "test_html_target": 15,
                "repaired_entities": 147,
                "merged_titles": 1,
                "fragments": 16,
            },
        ),
        ("steam", 9_263, (4096, 512, 1000), {"repaired_entities": 2, "fragments": 6}),
    ],
)
def test_the_real_released_rows(name, items, sizes, counted):
    dataset = real(name)
    split = dataset.split
    assert len(dataset.catalog) == items
    assert (len(split.train), len(split.valid), len(split.test)) == sizes
    assert {reason: count for reason, count in split.drops.items() if count} == counted


@needs_shared
@pytest.mark.parametrize(
    ("name", "expected"), [("goodreads", 0.015), ("cds_and_vinyl", 0.036), ("steam", 0.038)]
)
def test_the_most_popular_training_targets_hit_as_often_as_published(name, expected):
    dataset = real(name, drop_html=False)
    top = np.argsort(-dataset.popularity, kind="stable")[:5]
    assert np.isin(dataset.split.test.frame["target"].to_numpy(), top).mean() == pytest.approx(expected)


@needs_shared
def test_steam_repeats_its_history_in_519_of_4096_training_rows():
    assert real("steam", drop_repeats=True).split.drops["train_repeated_target"] == 519


@needs_shared
@pytest.mark.parametrize("name", ["movielens", "goodreads", "cds_and_vinyl", "steam"])
def test_real_rows_have_at_most_ten_titles(name):
    lengths = {len(each.history) for each in read_rows(SHARED / name / "train.json.gz")}
    assert max(lengths) == 10
    assert min(lengths) >= 5


@pytest.mark.parametrize("name", ["genre_dict.json", "name2id.json", "name2genre.json"])
def test_the_option_notices_an_edit_of_every_file_that_is_read_wherever_it_lies(tmp_path, name):
    option = OmegaConf.load(Path(__file__).parents[3] / "conf" / "dataset" / "released.yaml")
    for file in ("train.json", "valid.json", "test.json", "title_genres.json", name):
        (tmp_path / file).write_text("{}")
    source = Folder(tmp_path, list(option.source.members))
    before = source.digest()
    (tmp_path / name).write_text('{"Drama": 0}')
    assert source.digest() != before
