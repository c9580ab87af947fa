"""Tables and figures in README and docs are those of the records in results/."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORDS = sorted((ROOT / "results").rglob("run.json"))


@pytest.mark.slow
def test_pages_show_what_the_records_give():
    command = [sys.executable, "results/make_tables.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_record_has_ids_for_titles_and_a_clean_commit(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    items = record["items"]
    assert items["titles"] == [f"item {number}" for number in items["ids"]]
    assert [evaluation["written"] for evaluation in record["evaluations"] if evaluation["written"]] == []
    assert record["commit"]
    assert record["dirty"] is False


def test_records_are_small():
    assert sum(path.stat().st_size for path in RECORDS) < 10_000_000
