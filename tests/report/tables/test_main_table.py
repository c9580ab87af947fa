"""The paper's main table, checked against numbers that numpy computes on its own."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from sprec.records.encoded_ids import decode_ids
from sprec.records.run_record import DatasetEntry, RowCounts
from sprec.report.labels import Label, Labels
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import FEW_RUNS, TableOptions
from sprec.report.tables.formats import csv, markdown
from sprec.report.tables.html_table import html
from sprec.report.tables.latex_table import latex
from sprec.report.tables.table import Difference, MeanStd, transpose
from sprec.report.tables.table_kinds import MAIN
from tests.report.conftest import evaluation, evaluations
from tests.report.random_lists import ranked, targets, with_lists

PLAIN = TableOptions(plain=True, tested=False)
COLUMNS = ("HR@5", "NDCG@5", "Div@1", "OR@1", "OR@5", "MGU@5", "DGU@5")
METHODS = {
    "sasrec": ("none", 0.9),
    "dpo": ("Random", 1.2),
    "sdpo": ("Random count=3", 1.1),
    "sprec": ("SelfPlay Greedy", 0.7),
    "spin": ("SelfPlay Greedy", 1.0),
    "my_method": ("Random", 1.3),
    "most_popular": ("none", 1.0),
}


def paper_records(make):
    """Return seven methods at three seeds on two datasets, each with popularity and initial SFT beside it."""
    records = []
    for digest, name, users in (("aa", "movielens", 120), ("bb", "goodreads", 90)):
        target, popular = targets(users), np.tile(np.arange(5), (users, 1))
        for seed in range(3):
            rng = np.random.default_rng(seed)
            sft = ranked(rng, users, skew=1.4, target=target, hits=0.05)
            for method, (negatives, skew) in METHODS.items():
                own = ranked(rng, users, skew=skew, target=target, hits=0.1)
                sets = [("most_popular", None, popular), ("initial_sft", 0, sft), ("iteration_1", 1, own)]
                if method in ("most_popular", "sasrec"):  # these have no initial SFT
                    sets = [sets[0], (method, 0, popular if method == "most_popular" else own)]
                data = DatasetEntry(name, digest, 300, RowCounts(3, 2, users))
                record = make(method, negatives, seed=seed, dataset=data)
                records.append(with_lists(record, sets, users=users))
    return records


@pytest.fixture(scope="module")
def records(make):
    return paper_records(make)


@pytest.fixture
def table(records):
    (main,) = score_tables(MAIN, records, PLAIN)
    return main


def row_of(table, name):
    return next(row for row in table.rows if row[0] == name)


def test_datasets_are_column_groups_and_methods_row_groups(table):
    assert table.columns == ("method", *COLUMNS, *COLUMNS)
    assert table.groups == ("", *("MovieLens-100K",) * 7, *("Goodreads",) * 7)
    assert [row[0] for row in table.rows] == [
        *("most popular", "SASRec", "initial SFT", "DPO", "S-DPO", "SPIN", "my_method", "SPRec"),
    ]
    heads = {0: "Baselines", 2: "SFT-based", 3: "DPO-based", 6: "Other methods", 7: "SPRec"}
    assert dict(table.row_heads) == heads
    assert table.label == "tab:main"


def hits(record, evaluation, k):
    """Return HR@k and OR@k by a computation that shares no line with the package's."""
    width = len(decode_ids(evaluation.lists, 1)) // evaluation.n
    lists = decode_ids(evaluation.lists, width)[:, :k]
    target = decode_ids(record.targets, 1)
    counts = np.bincount(lists.ravel())
    return (lists == target).any(axis=1).sum() / len(lists), np.sort(counts)[-3:].sum() / lists.size


def test_means_and_deviations_are_those_that_numpy_computes(records, table):
    for name, key in (("SPRec", "sprec"), ("DPO", "dpo")):
        runs = [run for run in records if (run.method, run.dataset.name) == (key, "goodreads")]
        values = np.array([[*hits(run, run.evaluations[-1], 5)] for run in runs])
        row = row_of(table, name)
        for column, expected in ((8, values[:, 0]), (12, values[:, 1])):
            assert isinstance(row[column], MeanStd)
            assert row[column].mean == pytest.approx(expected.sum() / 3)
            variance = ((expected - expected.mean()) ** 2).sum() / 2
            assert row[column].std == pytest.approx(np.sqrt(variance))


def test_intervals_of_differences_are_those_of_an_independent_bootstrap(records):
    options = TableOptions(tested=True, columns=("hr@5",))
    tables = score_tables(MAIN, [run for run in records if run.dataset.name == "goodreads"], options)
    cell = row_of(tables[1], "SPRec")[2]
    assert isinstance(cell, Difference)
    difference = []
    for run in (run for run in records if (run.method, run.dataset.name) == ("sprec", "goodreads")):
        before, after = (decode_ids(one.lists, 5) for one in run.evaluations[1:])
        target = decode_ids(run.targets, 1)
        difference.append((after == target).any(axis=1).astype(float) - (before == target).any(axis=1))
    difference = np.array(difference)
    rng, means = np.random.default_rng(7), []
    for _ in range(4000):
        seeds, users = rng.integers(0, 3, 3), rng.integers(0, 90, 90)
        means.append(difference[np.ix_(seeds, users)].mean())
    assert cell.mean == pytest.approx(difference.mean())
    assert (cell.low, cell.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.012)


def test_best_and_second_are_marked_within_each_dataset(table):
    for column in range(1, 15):
        means = [cell.mean if isinstance(cell, MeanStd) else cell for cell in (r[column] for r in table.rows)]
        lower = table.columns[column][:2] in ("OR", "MG", "DG")
        order = np.argsort(means if lower else -np.array(means), kind="stable")
        assert table.marks[int(order[0]), column] == "best"
        assert table.marks[int(order[1]), column] == "second"


def test_deviation_that_rounds_to_zero_is_left_out(table):
    popular = row_of(table, "most popular")
    assert popular[4] == MeanStd(1.0, 0.0)
    assert table.text(0, 4) == "1.000"
    assert "± .000" not in markdown(table)


def test_one_arm_has_one_name_and_a_baseline_one_row(make):
    asked = [make("sprec", "Random"), make("random_negatives", "Random", seed=1)]
    (main,) = score_tables(MAIN, [*asked, make("most_popular", "none", seed=1)], PLAIN)
    assert [row[0] for row in main.rows] == ["most popular", "initial SFT", "random negatives"]


def test_plain_sft_is_the_initial_sft_and_other_sft_is_a_method_of_its_own(make):
    first = make("sprec", config={"seed": 0})
    alone = [make("sft", "none"), make("rw", "none", config={"method": {"weighting": {"_target_": "x"}}})]
    alone = [replace(run, evaluations=run.evaluations[:2], seed=1) for run in alone]
    (main,) = score_tables(MAIN, [first, *alone], PLAIN)
    assert [row[0] for row in main.rows] == ["most popular", "initial SFT", "RW", "SPRec"]


@pytest.mark.parametrize("format_name", ["markdown", "html", "csv"])
def test_every_format_names_groups_of_rows_and_columns(table, format_name):
    text = {"markdown": markdown, "html": html, "csv": csv}[format_name](table)
    expected = {
        "markdown": ["| *DPO-based* |", "MovieLens-100K: HR@5 ↑", "Goodreads: HR@5 ↑"],
        "html": [
            '<th scope="rowgroup" class="head" colspan="15">DPO-based</th>',
            'colspan="7">Goodreads</th>',
        ],
        "csv": ["MovieLens-100K HR@5,MovieLens-100K HR@5 sd", "Goodreads OR@1"],
    }
    for words in expected[format_name]:
        assert words in text


def test_transposed_table_has_the_same_cells_and_marks(table):
    turned = transpose(table)
    assert turned.columns == ("score", *(row[0] for row in table.rows))
    assert turned.groups[1:3] == ("Baselines", "Baselines")
    assert dict(turned.row_heads) == {0: "MovieLens-100K", 7: "Goodreads"}
    assert turned.rows[3][1:] == tuple(row[4] for row in table.rows)
    assert {(column, row) for row, column in turned.marks} == {(r + 1, c - 1) for r, c in table.marks}


def test_columns_digits_and_names_are_the_readers(records):
    ours = Label("Ours", r"\textsc{Ours}")
    labels = Labels({("method", "sprec"): ours, ("metric", "hr"): Label("Recall")})
    options = replace(PLAIN, columns=("OR@1", "hr@5"), digits=2, labels=labels)
    (table,) = score_tables(MAIN, [run for run in records if run.dataset.name == "movielens"], options)
    assert table.columns == ("method", "OR@1", "Recall@5")
    assert [len(table.text(0, column).lstrip("1.")) for column in (1, 2)] == [2, 2]
    assert r"\textsc{Ours} &" in latex(table)
    with pytest.raises(ValueError, match=r"there is no score 'HR@7' in these records; there is HR@1, "):
        score_tables(MAIN, records, replace(PLAIN, columns=("HR@7",)))


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex: texlive-latex-base and -recommended")
def test_pdflatex_sets_the_table_and_its_label(table, tmp_path):
    head = r"\documentclass[twocolumn]{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
    body = f"Table~\\ref{{tab:main}}.\n{latex(table)}{latex(replace(transpose(table), label='tab:turned'))}"
    (tmp_path / "t.tex").write_text(f"{head}\n\\begin{{document}}\n{body}\\end{{document}}\n")
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    assert not {"Overfull", "Missing character", "undefined"} & set(done.stdout.split())


def test_validation_rows_and_test_rows_have_tables_of_their_own(make):
    chosen = replace(make(), evaluations=(evaluation("iteration_1", 1, 0.5, split="valid"),))
    tables = score_tables(MAIN, [chosen, make()], PLAIN)
    assert ["validation rows" in table.title for table in tables] == [True, False]
    assert [table.groups for table in tables] == [(), ()]


def test_the_caption_claims_no_test_where_none_was_made(make):
    untested, plain = (
        score_tables(MAIN, [make()], TableOptions(plain=plain, tested=False))[0] for plain in (False, True)
    )
    assert "Nothing is marked, since nothing was tested; ↑" in untested.title
    assert "Bold is the best and underlined the second of a column; ↑" in plain.title


def test_two_arms_of_one_name_are_two_rows(make):
    labels = Labels({("method", key): Label("Ours") for key in ("sprec", "without_sft")})
    records = [make(evaluations=evaluations(0.1)), make("without_sft", evaluations=evaluations(0.5))]
    (table,) = score_tables(MAIN, records, replace(PLAIN, labels=labels))
    assert [row[0] for row in table.rows if row[0].startswith("Ours")] == ["Ours (1)", "Ours (2)"]
    assert {row[table.columns.index("HR@5")] for row in table.rows[-2:]} == {0.5, 2.5}


def test_self_play_without_its_dpo_is_not_called_self_play(make):
    records = [make(), make("sprec", "none", evaluations=evaluations(0.5))]
    names = [row[0] for row in score_tables(MAIN, records, PLAIN)[0].rows]
    assert names[-2:] == ["SPRec", "SPRec, no rejected titles"]


def test_data_without_genres_have_no_genre_columns_and_stand_beside_those_that_have_them(make):
    scored = evaluations(0.1)
    bare = tuple(
        replace(one, scores={key: value for key, value in one.scores.items() if "gu@" not in key})
        for one in scored
    )
    other = make(dataset=DatasetEntry("other", "1" * 16, 4, RowCounts(3, 2, 1)), evaluations=bare)
    (alone,) = score_tables(MAIN, [other], PLAIN)
    assert not {"MGU@5", "DGU@5"} & set(alone.columns)
    whole = make(evaluations=scored)
    (both,) = score_tables(MAIN, [whole, other], PLAIN)
    assert both.columns.count("MGU@5") == 1
    (named,) = score_tables(MAIN, [whole, other], replace(PLAIN, columns=("HR@5", "MGU@5")))
    assert named.columns == ("method", *("HR@5", "MGU@5") * 2)
    assert named.rows[-1][1:] == (0.5, 0.5, 0.5, None)
    with pytest.raises(ValueError, match="there is no score 'MGU@5'"):
        score_tables(MAIN, [other], replace(PLAIN, columns=("MGU@5",)))


def test_the_caption_says_of_which_seeds_and_lines_it_speaks(make):
    one = make(dataset=DatasetEntry("other", "1" * 16, 4, RowCounts(3, 2, 1)))
    (table,) = score_tables(MAIN, [make(), make(seed=1), one], replace(PLAIN, transposed=True))
    assert "over 2 and 1 seeds, N = 1000 test rows. Bold is the best and underlined the second of a row;" in (
        table.title
    )


def test_a_baseline_where_nothing_is_tested_is_refused(make):
    with pytest.raises(ValueError, match="--against sprec: nothing is tested in this table; add --tests on"):
        score_tables(MAIN, [make()], replace(PLAIN, against="sprec"))


def test_differences_are_turned_with_their_table(records):
    options = replace(PLAIN, tested=True, transposed=True)
    table, *differences = score_tables(MAIN, records, options)
    assert [one.columns[0] for one in differences] == [table.columns[0]] * len(differences)


def test_the_caption_says_why_so_many_runs_are_not_tested(make):
    runs = [make(seed=seed) for seed in range(FEW_RUNS + 1)]
    (table,) = score_tables(MAIN, runs, TableOptions(columns=("HR@5",)))
    assert f"since nothing was tested ({FEW_RUNS + 1} runs at once; --tests on); ↑" in table.title
