import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sprec.evaluation.evaluation_set import read_as_released, read_robustly
from sprec.score import GROUNDINGS, ExactMatch, main, rank, read_answers

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY.parent / "shared" / "data"
GOLDEN = DATA / "reference_outputs"

TITLES = {"Heat": ["Crime", "Drama"], "Ran": ["War"], 'The "Real" Thing': ["Drama"], "WALLÂ·E": ["War"]}
CUT = {"Heat": 0, "Ran": 1, "The ": 2, " Thing": 3, "WALLÂ·E": 4}
ROWS = [(["Heat", 'The "Real" Thing'], "Ran"), (["Ran"], 'The "Real" Thing'), (["Heat"], "WALLÂ·E")]


def row(history, target):
    shown = ", ".join(f'"{title}"' for title in history)
    return {"instruction": "Recommend.", "input": f"Seen: {shown}, next", "output": f'"{target}"\n'}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "films"
    write(place / "test.json.gz", [row(*each) for each in ROWS])
    write(place / "title_genres.json.gz", TITLES)
    write(place / "eval" / "name2id.json.gz", CUT)
    write(place / "eval" / "name2genre.json.gz", {"Heat": ["Crime", "Drama"], "Ran": ["War"]})
    write(place / "eval" / "genre_dict.json", {"Crime": 0, "Drama": 0, "War": 0})
    return place


@pytest.fixture
def predictions(tmp_path):
    return lambda content, name="predictions.json": write(tmp_path / name, content)


def scored(capsys, *arguments):
    status = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def golden(name):
    return pytest.mark.skipif(not (GOLDEN / name).is_dir(), reason=f"no golden lists of {name}")


PUBLISHED = [
    pytest.param(
        "movielens", "DPO_RN1", 0, (0.050007, 0.181804), (0.058468, 0.232757), marks=golden("movielens")
    ),
    pytest.param(
        "movielens", "SPRec", 0, (0.028564, 0.110459), (0.036238, 0.168102), marks=golden("movielens")
    ),
    pytest.param(
        "goodreads", "DPO_RN1", 3, (0.013770, 0.052936), (0.013770, 0.052936), marks=golden("goodreads")
    ),
    pytest.param(
        "goodreads", "SPRec", 3, (0.010443, 0.038891), (0.010443, 0.038891), marks=golden("goodreads")
    ),
]


@pytest.mark.parametrize(("dataset", "model", "entry", "fairness", "robust_fairness"), PUBLISHED)
def test_golden_lists_score_as_published(capsys, dataset, model, entry, fairness, robust_fairness):
    lists = GOLDEN / dataset / f"{model}_1e-6_it0_top5_recs.json.gz"
    published = json.loads((GOLDEN / dataset / f"{model}_1e-6_it0_eval_top5.json").read_text())[entry]
    common = (lists, "--data", DATA / dataset, "--k", 5, "--matching")
    status, out, _ = scored(capsys, *common, "released")
    found = json.loads(out)
    assert (status, found["n"], found["n_in_catalog"]) == (0, 1000, 1000)
    assert found["hr@5"] == pytest.approx(published["HR"][0], abs=1e-9)
    assert found["ndcg@5"] == pytest.approx(published["NDCG"][0], abs=1e-9)
    assert found["div_ratio@5"] == pytest.approx(published["DivRatio"], abs=1e-9)
    assert found["or_ratio@5"] == pytest.approx(published["ORRatio"], abs=1e-9)
    assert (found["mgu@5"], found["dgu@5"]) == pytest.approx(fairness, abs=1e-6)
    found = json.loads(scored(capsys, *common, "robust")[1])
    assert (found["mgu@5"], found["dgu@5"]) == pytest.approx(robust_fairness, abs=1e-6)


def test_json_has_one_value_per_metric_and_cutoff(capsys, folder, predictions):
    file = predictions([["Ran", "Heat"], ["Heat", "Nowhere"], ["Ran", 'The "Real" Thing']])
    status, out, err = scored(capsys, file, "--data", folder, "--k", 2, 1)
    found = json.loads(out)
    metrics = ["hr", "ndcg", "mrr", "div_ratio", "or_ratio", "mgu", "dgu"]
    assert list(found) == ["n", "n_in_catalog", *(f"{name}@{k}" for k in (1, 2) for name in metrics)]
    assert (status, found["n"], found["n_in_catalog"]) == (0, 3, 3)
    # row 1 hits at once, rows 2 and 3 never; three distinct items in six places, one place empty
    assert found["hr@2"] == found["ndcg@1"] == pytest.approx(1 / 3)
    assert found["div_ratio@2"] == pytest.approx(3 / 6)
    assert found["or_ratio@2"] == pytest.approx(5 / 6)
    assert err == "sprec.score: 1 of 6 predicted titles are not in the catalogue\n"


def test_released_reading_cuts_titles_with_quotes_and_loses_their_rows(folder):
    found = read_as_released(folder)
    # '"Heat", "The "Real" Thing"' → Heat, 'The ', ' Thing'; the second target is whole and so unknown
    assert found.histories == [[0, 2, 3], [1], [0]]
    assert found.target.tolist() == [1, -1, 4]
    assert found.title_of('"The "Real" Thing"\n') == "The "


def test_robust_reading_keeps_titles_whole_and_repairs_them(folder):
    found = read_robustly(folder)
    assert found.titles == ("Heat", "Ran", "The 'Real' Thing", "WALL·E")
    assert found.histories == [[0, 2], [1], [0]]
    assert found.target.tolist() == [1, 2, 3]
    assert found.find("WALL·E") == found.find("WALLÂ·E") == 3
    assert found.find('The "Real"  Thing') == 2


def test_ten_most_common_genres_are_selected_where_none_are_named(folder):
    (folder / "eval" / "genre_dict.json").unlink()
    assert read_robustly(folder).selected == ("Drama", "War", "Crime")


def test_pieces_of_web_pages_are_no_items(folder):
    write(folder / "test.json.gz", [row(["Heat"], '<span class="a-size-medium')])
    assert read_robustly(folder).target.tolist() == [-1]


def test_generated_text_is_grounded_to_the_item_that_bears_its_title(capsys, folder, predictions):
    texts = ['"Ran"\n\n### Why: "Heat"', 'The user likes "The "Real" Thing" most', "nothing"]
    reading = read_robustly(folder)
    assert rank(texts, reading, ExactMatch(reading), k=2).tolist() == [[1, -1], [2, -1], [-1, -1]]
    old = read_as_released(folder)
    assert rank(texts, old, ExactMatch(old), k=1).tolist() == [[1], [2], [-1]]
    _, out, err = scored(capsys, predictions(texts), "--data", folder, "--k", 1, 5)
    assert json.loads(out)["hr@5"] == pytest.approx(2 / 3)
    assert "1 of 3 predicted titles are not in the catalogue" in err
    assert "13 of 15 places are empty" not in err
    assert "12 of 15 places are empty" in err


def test_nearest_titles_fill_the_list_and_the_title_itself_stands_first(capsys, folder, predictions):
    reading = read_robustly(folder)
    ranked = rank(['"Ran"', '"Hea"', ""], reading, GROUNDINGS["ngrams"](reading), k=5)
    assert ranked[0][0] == reading.ids["Ran"]
    assert ranked[1][0] == reading.ids["Heat"]
    assert sorted(ranked[0].tolist()) == [-1, 0, 1, 2, 3]
    assert ranked[2].tolist() == [-1] * 5
    arguments = ("--data", folder, "--k", 1, 4, "--grounding", "ngrams")
    _, out, err = scored(capsys, predictions(["Ran", "Hea", "nothing"]), *arguments)
    assert json.loads(out)["n"] == 3
    assert "places are empty" not in err


def test_minilm_is_pinned_as_in_the_configuration():
    text = (REPOSITORY / "conf" / "embeddings" / "minilm.yaml").read_text()
    model = GROUNDINGS["minilm"](None).embedder
    assert model.source.sha256 in text
    assert f"version: {model.source.version}\n" in text


def test_any_grounder_can_rank_the_catalogue_for_a_text(folder):
    def last_first(titles, k):
        return np.tile(np.arange(4)[::-1][:k], (len(titles), 1))

    assert rank(["a", "b"], read_robustly(folder), last_first, k=2).tolist() == [[3, 2], [3, 2]]


def test_released_records_count_as_the_text_they_predict(predictions):
    file = predictions(
        [{"input": "", "predict": ['"Ran"']}, {"predict": '"Heat"'}, '"X"'], "predicts.json.gz"
    )
    assert read_answers(file, rows=3) == ['"Ran"', '"Heat"', '"X"']


def test_table_shows_metrics_by_cutoff(capsys, folder, predictions):
    file = predictions([["Ran"], ["Ran"], ["Ran"]])
    assert main([str(file), "--data", str(folder), "--k", "1"]) == 0
    out = capsys.readouterr().out
    assert "HR       0.3333" in out
    assert "N 3, 3 of them with a target in the catalogue; robust matching" in out


LISTS = [["Heat", "Ran"]] * 3


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (LISTS[:2], [], "predictions.json has 2 entries but there are 3 test rows"),
        ({"predict": []}, [], "predictions.json holds no JSON list"),
        (
            [*LISTS[:2], 7],
            [],
            "predictions.json: row 3 is of type int and not a list of titles, a generated text",
        ),
        ([["Heat", 3], *LISTS[:2]], [], "row 1 is of type list and not"),
        ([{"predict": ["a", "b"]}, "b", "c"], [], "row 1 is of type dict and not"),
        ([*LISTS[:2], "Heat"], [], "row 3 is of another kind than row 1"),
        (
            [*LISTS[:2], ["Heat"]],
            ["--k", "2"],
            "row 3 of the predictions lists 1 titles, fewer than --k 2; lower --k",
        ),
        (LISTS, ["--k", "1", "0"], "--k 0 is no length of a list; take 1 or more"),
    ],
)
def test_predictions_that_cannot_be_scored_get_one_line(
    capsys, folder, predictions, content, options, message
):
    status, out, err = scored(capsys, predictions(content), "--data", folder, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "none.json cannot be read: No such file or directory"),
        ("bad.json", b"[1,", "bad.json is no JSON"),
        ("bad.json", b"\xff\xfe[", "bad.json is no JSON"),
        ("bad.json.gz", b"[]", "bad.json.gz cannot be read: Not a gzipped file"),
        ("cut.json.gz", gzip.compress(b"[" + b"1, " * 999, mtime=0)[:-12], "cut.json.gz cannot be read"),
    ],
)
def test_unreadable_file_gets_one_line(capsys, folder, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    status, out, err = scored(capsys, tmp_path / name, "--data", folder)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("missing", "matching", "message"),
    [
        ("test.json.gz", "robust", "films has no file test.json; it holds"),
        ("test.json.gz", "released", "films has no file test.json; it holds"),
        ("title_genres.json.gz", "robust", "films has no title_genres.json or title_genres.json.gz"),
        (
            "eval/name2id.json.gz",
            "released",
            "films has no name2id.json or name2id.json.gz; add it, or take the",
        ),
    ],
)
def test_folder_that_lacks_a_file_gets_one_line(capsys, folder, predictions, missing, matching, message):
    (folder / missing).unlink()
    status, _, err = scored(capsys, predictions(LISTS), "--data", folder, "--matching", matching, "--k", 1)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


def test_folder_without_rows_or_with_faulty_ones_gets_one_line(capsys, folder, predictions):
    write(folder / "test.json.gz", [])
    assert "test.json of" in scored(capsys, predictions([]), "--data", folder)[2]
    write(folder / "test.json.gz", [{"input": ""}])
    status, _, err = scored(capsys, predictions([]), "--data", folder)
    assert (status, err.count("\n")) == (2, 1)
    assert "row 1 has no text 'instruction'" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "title_genres.json.gz holds no JSON object"),
        ({"Ran": 1}, "'Ran' has no list of genres but 1; write"),
    ],
)
def test_faulty_genres_get_one_line(capsys, folder, predictions, content, message):
    write(folder / "title_genres.json.gz", content)
    status, _, err = scored(capsys, predictions(LISTS), "--data", folder)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


def test_scoring_loads_neither_torch_nor_transformers_nor_hydra():
    code = "import sys, json, sprec.score; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=REPOSITORY)
    assert not {"torch", "transformers", "hydra", "lightning", "wandb"} & set(json.loads(loaded.stdout))
