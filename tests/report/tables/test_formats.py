import csv as standard
import math
from dataclasses import replace
from io import StringIO

from rich.console import Console

from sprec.report.tables.columns import arrows
from sprec.report.tables.formats import csv, markdown, print_table
from sprec.report.tables.marks import mark_best
from sprec.report.tables.table import Difference, MeanStd, Table, transpose

TABLE = Table(
    title="R&B_100% | ~best~",
    columns=("method", "negatives", "N", "HR@1"),
    rows=(
        ("a|b_c", "50% & $more", 1000, MeanStd(0.01234567, 0.001)),
        ("{x}\\y", "#1 [bold]^<z>", 20, 0.5),
        ("lost", "–", None, "failed"),
    ),
    notes=("sprec × self_play: run_again & again", "N 1000"),
    names=2,
)


def test_markdown_escapes_what_would_be_marks():
    assert markdown(TABLE) == (
        "**R\\&B\\_100% \\| \\~best\\~**\n"
        "\n"
        "| method | negatives | N | HR@1 |\n"
        "| --- | --- | ---: | ---: |\n"
        "| a\\|b\\_c | 50% \\& $more | 1000 | 0.0123 ± 0.0010 |\n"
        "| {x}\\\\y | #1 \\[bold\\]^\\<z\\> | 20 | 0.5000 |\n"
        "| lost | – | – | failed |\n"
        "\n"
        "sprec × self\\_play: run\\_again \\& again\n"
        "\n"
        "N 1000\n"
    )


def test_csv_keeps_every_digit_and_reads_back():
    text = csv(TABLE)
    comments = [line for line in text.splitlines() if line.startswith("# ")]
    rows = list(standard.DictReader(line for line in StringIO(text) if not line.startswith("# ")))
    assert comments == ["# R&B_100% | ~best~", "# sprec × self_play: run_again & again", "# N 1000"]
    assert rows[0] == {
        "method": "a|b_c",
        "negatives": "50% & $more",
        "N": "1000",
        "HR@1": "0.01234567",
        "HR@1 sd": "0.001",
    }
    assert [row["HR@1"] for row in rows] == ["0.01234567", "0.5", "failed"]
    assert [row["HR@1 sd"] for row in rows] == ["0.001", "", ""]


def test_csv_quotes_separators_in_names():
    table = Table("t", ("model",), (('a,"b"\nc',),))
    assert list(standard.reader(StringIO(csv(table))))[2] == ['a,"b"\nc']


MARKED = replace(TABLE, marks={(0, 3): "best", (1, 3): "second"}, arrows={"HR@1": "↑"})


def test_best_is_bold_second_underlined_and_an_arrow_says_which_way_is_better():
    lines = markdown(MARKED).splitlines()
    assert lines[2] == "| method | negatives | N | HR@1 ↑ |"
    assert lines[4].endswith("| **0.0123 ± 0.0010** |")
    assert lines[5].endswith("| <u>0.5000</u> |")
    assert "HR@1 ↑" in shown(MARKED, 80)


def test_csv_holds_no_formula():
    table = Table("t", ("=cmd|'/c calc'!A0", "x"), (("@SUM(A1)", -0.5), ("-2+3", 1.0), ("SPRec", 2.0)))
    assert list(standard.reader(StringIO(csv(table))))[1:] == [
        ["'=cmd|'/c calc'!A0", "x"],
        ["'@SUM(A1)", "-0.5"],
        ["'-2+3", "1.0"],
        ["SPRec", "2.0"],
    ]


def test_csv_notes_hold_no_formula():
    text = csv(Table("a,=1", ("x",), ((1.0,),), notes=("failed (boom,=HYPERLINK(1); +2)",)))
    cells = [cell.strip() for row in standard.reader(StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_csv_of_differences_has_bounds_and_corrected_p():
    table = Table("t", ("method", "HR@1"), (("a", Difference(0.01, -0.002, 0.02, 0.3)), ("b", None)))
    rows = list(standard.reader(StringIO(csv(table))))[1:]
    assert rows == [
        ["method", "HR@1", "HR@1 low", "HR@1 high", "HR@1 p"],
        ["a", "0.01", "-0.002", "0.02", "0.3"],
        ["b", "", "", "", ""],
    ]


def test_csv_rows_of_one_name_have_the_head_that_they_stand_under():
    groups = ("", "MovieLens", "MovieLens", "Goodreads")
    table = Table("t", ("method", "HR@5", "OR@5", "HR@5"), (("SPRec", 0.1, 0.2, 0.3),), groups=groups)
    rows = list(standard.reader(StringIO(csv(transpose(table)))))[2:]
    assert rows == [["MovieLens HR@5", "0.1"], ["OR@5", "0.2"], ["Goodreads HR@5", "0.3"]]


def test_columns_of_no_group_stand_above_the_groups_of_a_transposed_table():
    groups = ("", "K = 5", "", "K = 1")
    heads = ("method", "HR@5", "off-catalogue", "OR@1")
    turned = transpose(Table("t", heads, (("SPRec", 0.1, 0.2, 0.3),), groups=groups, marks={(0, 3): "best"}))
    assert [row[0] for row in turned.rows] == ["off-catalogue", "HR@5", "OR@1"]
    assert dict(turned.row_heads) == {1: "K = 5", 2: "K = 1"}
    assert turned.rules == (1, 2)
    assert turned.marks == {(2, 1): "best"}


def test_a_score_that_nobody_knows_has_no_better_side():
    assert arrows(["novelty@5", "or_ratio@5"]) == {"OR@5": "↓"}
    assert mark_best([0.1, 0.3], "novelty@5") == {}


def shown(table, width):
    console = Console(file=StringIO(), width=width)
    print_table(table, console)
    return console.file.getvalue()


def test_terminal_shows_names_as_they_are():
    text = shown(TABLE, 80)
    assert "#1 [bold]^<z>" in text
    assert "0.0123 ± 0.0010" in text
    assert text.endswith("N 1000\n")


def test_terminal_too_narrow_for_all_columns_shows_them_below_each_other():
    columns = tuple(f"HR@{k}" for k in range(1, 9))
    table = Table("wide", ("model", *columns), (("initial SFT", *(k / 10 for k in range(1, 9))),))
    text = shown(table, 40)
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("initial SFT") == 3
    assert all(f"0.{k}000" in text for k in range(1, 9))
    assert shown(table, 200).count("initial SFT") == 1


def test_table_without_rows_is_still_a_table():
    table = Table("none yet", ("model", "N"), ())
    assert "| model | N |" in markdown(table)
    assert "none yet" in shown(table, 40)


def test_bounds_that_are_no_numbers_are_not_significant():
    assert not Difference(math.nan, math.nan, math.nan, 0.001).significant
    assert Difference(0.2, 0.1, 0.3, 0.001).significant
