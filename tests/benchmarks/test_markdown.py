import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.machine import Machine
from benchmarks.markdown import contest_cells, to_markdown
from benchmarks.measure import Check, Growth, Outcome
from benchmarks.results import Figures, Report, Results, read_report

ROOT = Path(__file__).parents[2]
MEASURED = sorted((ROOT / "benchmarks").glob("*.json"))
RATES, MEMORY = (6.0, 1.5, 4.0, 3.9, 4.2, 3, 1234.0), (2_000_000_000, 2_900_000_000)
CONTEST = Outcome("SFT step", "rows", "TRL, batch 4", *RATES, *MEMORY, 4.0, 0.43, 9.3)
GROWTH = Growth("SFT step", "row", (8, 1600), (1.0, 2.0), (10**9, 2 * 10**9), 0.125, 0.0, 0.9951)
CHECKS = [Check("peak GB of DPO", 2.61, 2.5), Check("share", 0.55, 0.5, at_least=True)]
RESULTS = Results(
    {"SFT step": Figures([CONTEST], [], CHECKS[:1]), "growth": Figures([], [GROWTH], CHECKS[1:])},
    ["evaluation: the 5 minutes were over"],
)
PLACE = Machine(
    "Some CPU", 2, 2, 10**9, "3.11", {"commit": "0123", "dirty": False, "versions": {}}, 4.361e11, 1.98e11
)


@pytest.fixture
def report(tmp_path):
    """A measured file."""
    file = tmp_path / "measured.json"
    Report(PLACE, quick=False, code="abc", results=RESULTS).write(file)
    return file


def test_row_says_whether_the_figure_is_reached():
    assert contest_cells(CONTEST) == (
        *("SFT step", "6.00 rows", "1.50", "4 (3.9–4.2, n=3)", "4 ✓"),
        *("43%", "9.3", "1234", "2.0, 2.9", "TRL, batch 4"),
    )


def test_markdown_holds_contests_growths_checks_and_what_was_left_out():
    machine, contests, growths, checks, left_out = to_markdown(PLACE, RESULTS).split("\n\n")
    assert machine == "Some CPU, 2 threads; products 436 GFLOP/s in bf16, 198 in float32; commit 0123"
    assert contests.splitlines()[2].startswith("| SFT step | 6.00 rows | 1.50 | 4 (3.9–4.2, n=3) | 4 ✓ |")
    assert growths.splitlines()[2:] == [
        "| SFT step (row) | 8, 1,600 | 1.00, 2.00 | 0.125 | 0.9951 | 1.00, 2.00 |"
    ]
    assert checks.splitlines() == [
        *("| check | figure | limit |", "| --- | --- | --- |"),
        *("| peak GB of DPO | 2.61 | ≤ 2.5 ✗ |", "| share | 0.55 | ≥ 0.5 ✓ |"),
        "| SFT step: R² of the line | 0.9951 | ≥ 0.99 ✓ |",
        "| SFT step: memory of the largest over the smallest | 2 | ≤ 1.1 ✗ |",
    ]
    assert left_out == "* left out: evaluation: the 5 minutes were over"


def test_command_prints_the_tables_of_a_file_and_measures_nothing(report, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--markdown", str(report)])
    main()
    assert capsys.readouterr().out == to_markdown(PLACE, RESULTS) + "\n"


@pytest.mark.parametrize("text", [None, "{", "{}", "[]"])
def test_file_that_holds_no_benchmark_is_named_in_one_line(text, tmp_path, monkeypatch, capsys):
    file = tmp_path / "other.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(sys, "argv", ["bench", "--markdown", str(file)])
    with pytest.raises(SystemExit):
        main()
    assert f"{file} holds no benchmark" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("file", MEASURED, ids=lambda file: file.name)
def test_readme_of_the_benchmarks_holds_what_was_measured_as_printed(file):
    assert not json.loads(file.read_text(encoding="utf-8"))["quick"]
    report = read_report(file)
    assert to_markdown(report.machine, report.results) in (ROOT / "benchmarks" / "README.md").read_text(
        encoding="utf-8"
    )
