"""Which reported rows a table of a dataset shows."""

import pytest

from sprec.records.run_record import DatasetEntry, RowCounts
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.reference_values import load_reported, rows_of_dataset
from sprec.report.tables.table_kinds import ABLATION, MAIN

ROW = (
    '{{dataset = "{}", model = "{}", base_llm = "x", n = {}, runs = 1, source = "{}", '
    'scores = {{"hr@5" = {}}}}}'
)


def load(folder, *rows):
    path = folder / "paper.toml"
    path.write_text(f"rows = [{', '.join(ROW.format(*row) for row in rows)}]")
    return load_reported(path)


@pytest.fixture
def references(tmp_path):
    return load(
        tmp_path,
        ("movielens", "SPRec", 7, "paper, page 7", 0.71),
        ("movielens_1m", "SPRec", 7, "paper, page 8", 0.72),
        ("movielens", "DPO", 7, "paper, page 7", 0.73),
        ("steam", "SPRec", 7, "paper, page 7", 0.74),
    )


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("movielens", [0.71, 0.73]),
        ("movielens_1m", [0.72, 0.73]),
        ("movielens_10m", [0.71, 0.73]),
        ("goodreads", []),
    ],
    ids=["exact", "longest", "family", "none"],
)
def test_row_that_says_most_of_a_datasets_name_counts(references, dataset, expected):
    assert [row.scores["hr@5"] for row in rows_of_dataset(references, dataset)] == expected


@pytest.mark.parametrize("kind", [MAIN, ABLATION], ids=["main", "ablation"])
def test_table_shows_no_value_of_another_dataset(make, references, kind):
    records = [make(dataset=DatasetEntry("movielens_1m", "00", 4, RowCounts(3, 2, 1)))]
    options = TableOptions(tested=False, columns=("hr@5",), references=references)
    (table,) = score_tables(kind, records, options)
    values = [row[-1] for row in table.rows]
    assert [value for value in (0.71, 0.72, 0.73, 0.74) if value in values] == [0.72, 0.73]


def test_two_rows_of_one_model_dataset_and_source_are_refused(tmp_path):
    message = r"paper.toml, row 2: 'SPRec' on steam has a row of this source already; give one of them a name"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, ("steam", "SPRec", 7, "paper", 0.71), ("steam", "SPRec", 9, "paper", 0.2))
