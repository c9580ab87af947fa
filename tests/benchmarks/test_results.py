from dataclasses import replace

import pytest

import benchmarks
import sprec
from benchmarks.machine import Machine
from benchmarks.measure import Check, Growth
from benchmarks.results import Figures, Report, Results, code_digest, read_report, resume_report

PLACE = Machine(
    "Some CPU", 2, 2, 10**9, "3.11", {"commit": "01", "dirty": False, "versions": {"torch": "2"}}, 4e11, 2e11
)
ROWS = {"grow": Figures(growths=[Growth("grow", "row", (1, 2), (1.0, 2.0), (10, 20), 1.0, 0.0, 1.0)])}
BEGUN = Report(PLACE, quick=False, code="abc", results=Results(ROWS, ["late: the 5 minutes were over"]))


def fresh(**changes):
    """A report that has measured nothing yet, at a later moment: peaks and commit are others."""
    now = replace(PLACE, peak_bf16=3e11, provenance={**PLACE.provenance, "commit": "02", "dirty": True})
    return replace(Report(now, quick=False, code="abc", results=Results()), **changes)


@pytest.fixture
def file(tmp_path):
    BEGUN.write(tmp_path / "measured.json")
    return tmp_path / "measured.json"


def test_what_is_written_is_read_back(file):
    assert read_report(file) == BEGUN


def test_file_of_the_same_code_is_gone_on_with_and_what_it_left_out_is_tried_again(file):
    assert resume_report(file, fresh()) == replace(BEGUN, results=Results(ROWS))


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "def"},
        {"quick": True},
        {"machine": replace(PLACE, processor="Other")},
        {"machine": replace(PLACE, threads=1)},
        {"machine": replace(PLACE, provenance={**PLACE.provenance, "versions": {"torch": "3"}})},
    ],
    ids=["code", "quick", "processor", "threads", "versions"],
)
def test_file_of_another_measurement_is_not_gone_on_with(file, changes):
    assert resume_report(file, fresh(**changes)) == fresh(**changes)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_without_a_readable_file_a_new_one_begins(tmp_path, text):
    file = tmp_path / "other.json"
    if text is not None:
        file.write_text(text)
    assert resume_report(file, fresh()) == fresh()


def test_rows_stand_in_order_and_shared_figures_are_asked_of_all():
    results = Results()
    results.add("grow", ROWS["grow"], ["memory", "grow"])
    results.add("memory", Figures(checks=[Check("GB", 1.0, 2.0)]), ["memory", "grow"])
    assert list(results.rows) == ["memory", "grow"]
    assert [(check.name, check.value) for check in results.checks] == [
        *(("GB", 1.0), ("grow: R² of the line", 1.0)),
        ("grow: memory of the largest over the smallest", 2.0),
    ]


@pytest.mark.parametrize("package", [sprec, benchmarks], ids=["what is measured", "what measures"])
def test_digest_changes_with_a_module_of_either_package(package, tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("1")
    monkeypatch.setattr(package, "__file__", str(tmp_path / "__init__.py"))
    before = code_digest()
    assert code_digest() == before
    (tmp_path / "inner" / "a.py").write_text("2")
    assert code_digest() != before
