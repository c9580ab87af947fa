import csv as standard
from io import StringIO

from rich.console import Console

from sprec.report.formats import csv, latex, markdown, show
from sprec.report.tables import Spread, Table

TABLE = Table(
    title="R&B_100% | ~best~",
    columns=("method", "negatives", "N", "HR@1"),
    rows=(
        ("a|b_c", "50% & $more", 1000, Spread(0.01234567, 0.001)),
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


def test_latex_is_a_booktabs_float_with_escaped_names():
    assert latex(TABLE).splitlines() == [
        r"\begin{table}",
        r"\caption{R\&B\_100\% \textbar{} \textasciitilde{}best\textasciitilde{}}",
        r"\begin{tabular}{llrr}",
        r"\toprule",
        r"method & negatives & N & HR@1 \\",
        r"\midrule",
        r"a\textbar{}b\_c & 50\% \& \$more & 1000 & 0.0123 $\pm$ 0.0010 \\",
        r"\{x\}\textbackslash{}y & \#1 [bold]\textasciicircum{}\textless{}z\textgreater{} & 20 & 0.5000 \\",
        r"lost & -- & -- & failed \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\footnotesize sprec $\times$ self\_play: run\_again \& again",
        r"\par\footnotesize N 1000",
        r"\end{table}",
    ]


def shown(table, width):
    console = Console(file=StringIO(), width=width)
    show(table, console)
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
