"""Tables in LaTeX: headers, panels, escapes; and that pdflatex takes them."""

import shutil
import subprocess

import pytest

from sprec.report.labels import Label
from sprec.report.tables.latex_table import latex, with_unique_labels
from sprec.report.tables.table import Difference, MeanStd, Table, transpose

METRICS = ("HR", "NDCG", "Div", "OR", "MGU", "DGU")
COLUMNS = ("method", "negatives", "seeds", "N", *(f"{name}@{k}" for k in (1, 5) for name in METRICS), "off")
ODD = ("R&B_100% | ~best~ \\x^", '50% & $more #1 {x} [bold] <z> "q" --k × ± – − β ≤ …')
TABLE = Table(
    title=f"{ODD[0]}: {ODD[1]}",
    columns=COLUMNS,
    rows=(
        (*ODD, 3, 1000, *(MeanStd(0.01234, 0.001) for _ in range(12)), 0.5),
        ("[x]", "lost", 0, None, *("failed" for _ in range(13))),
        ("a", "b", 1, 20, *(Difference(0.01, -0.002, 0.02, 0.3) for _ in range(12)), None),
    ),
    notes=(f"{ODD[0]}, {ODD[1]}", "N 1000"),
    names=2,
    groups=("", "", "", "", *("K = 1",) * 6, *("K = 5",) * 6, ""),
    arrows={"HR@1": "↑", "OR@1": "↓"},
    marks={(0, 4): "best", (0, 5): "second"},
    rules=(1,),
)


def test_wide_table_is_a_panel_per_group_with_heads_over_its_columns():
    text = latex(TABLE)
    assert text.count(r"\begin{tabular}{ll") == 2
    assert [line for line in text.splitlines() if "K = " in line] == [
        r"\multicolumn{4}{c}{} & \multicolumn{6}{c}{K = 1} \\",
        r"\multicolumn{2}{c}{} & \multicolumn{6}{c}{K = 5} & \multicolumn{1}{c}{} \\",
    ]
    assert [text.count(rf"\cmidrule(lr){{{place}}}") for place in ("5-10", "3-8")] == [1, 1]
    assert (
        r"method & negatives & seeds & N & HR $\uparrow$ & NDCG & Div & OR $\downarrow$ & MGU & DGU \\"
        in text
    )
    assert r"\textbf{0.0123 $\pm$ 0.0010} & \underline{0.0123 $\pm$ 0.0010} & 0.0123 $\pm$ 0.0010 &" in text
    assert text.endswith("% N 1000\n")


@pytest.mark.parametrize(
    ("group", "head"), [("", r"\textsc{Rec}@5 $\uparrow$"), ("K = 5", r"\textsc{Rec} $\uparrow$")]
)
def test_a_readers_own_latex_of_a_metric_gets_its_arrow_and_loses_the_length_that_its_group_says(group, head):
    renamed = Label("Recall@5", r"\textsc{Rec}@5")
    table = Table("t", ("m", renamed), (("a", 0.5),), arrows={renamed: "↑"}, groups=("", group))
    assert rf"m & {head} \\" in latex(table).splitlines()


def test_a_readers_own_latex_stays_where_rows_and_columns_change_places():
    ours, recall = Label("Ours_1", r"\textsc{Ours}"), Label("Recall@5", r"\textsc{Rec}@5")
    table = Table("t", ("m", "negatives", recall), ((ours, "a_b", 0.5),), names=2, arrows={recall: "↑"})
    lines = latex(transpose(table)).splitlines()
    assert r"score & \textsc{Ours} $\times$ a\_b \\" in lines
    assert r"\textsc{Rec}@5 $\uparrow$ & 0.5000 \\" in lines


def test_tables_of_one_document_have_labels_of_their_own():
    labels = ("tab:main", "tab:x", "tab:main", "", "tab:main", "")
    tables = with_unique_labels([Table("t", ("m",), (), label=label) for label in labels])
    assert [table.label for table in tables] == ["tab:main", "tab:x", "tab:main-2", "", "tab:main-3", ""]


def test_narrow_table_is_one_panel_with_a_line_above_its_ruled_rows():
    table = Table("t", ("m", "HR@1"), (("a_b", 0.5), ("c", None)), notes=("N 1",), rules=(1,))
    lines = latex(table).splitlines()
    start = lines.index(r"\begin{tabular}{lr}")
    assert lines[start : start + 9] == [
        *(r"\begin{tabular}{lr}", r"\toprule", r"m & HR@1 \\", r"\midrule"),
        *(r"a\_b & 0.5000 \\", r"\midrule", r"c & -- \\", r"\bottomrule", r"\end{tabular}}"),
    ]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex: texlive-latex-base and -recommended")
def test_pdflatex_takes_every_character_and_nothing_sticks_out(tmp_path):
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
    (tmp_path / "t.tex").write_text(f"{head}\n\\begin{{document}}\n{latex(TABLE)}\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "t.pdf").stat().st_size > 10_000
    assert "Overfull" not in done.stdout
    assert "Missing character" not in done.stdout
