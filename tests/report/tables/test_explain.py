"""From a number to the runs behind it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sprec.records.run_record import StageEntry
from sprec.report.tables.explain import explain_cell
from sprec.report.tables.table_kinds import TABLE_KINDS
from tests.report.conftest import evaluations
from tests.report.random_lists import ranked, targets, with_lists


@pytest.fixture
def records(make):
    lists = ranked(np.random.default_rng(0), 200, skew=1.0, target=targets(), hits=0.1)
    stage = StageEntry("sft", "initial sft", "ab12", 3.0, True)
    first = with_lists(
        make(tracker="https://wandb.ai/x/y", stages=(stage,)),
        [("initial_sft", 0, lists), ("iteration_1", 1, lists)],
    )
    failed = make(seed=1, status="failed", evaluations=())
    return [(Path("a/run.json"), first), (Path("b/run.json"), failed)]


def test_number_leads_to_file_command_commit_seed_stages_and_tracker(records):
    text = explain_cell(TABLE_KINDS["ablation"], records, "sprec,hr@5")
    score = records[0][1].evaluations[1].scores["hr@5"]
    assert text.startswith(f"SPRec × Self-play, HR@5 = {score:.4f}\n")
    for words in (
        f"seed 0: {score:.6f}",
        "a/run.json",
        "python -m sprec.run method=sprec seed=0",
        "abcdef0123",
        "ab12  initial sft (3.0 s, reused)",
        "https://wandb.ai/x/y",
        f"recomputed from the lists in the record: {score:.6f}, equal",
        "seed 1: failed; to run it again: python -m sprec.run method=sprec seed=1",
    ):
        assert words in text


def test_number_that_its_lists_do_not_give_is_said(records):
    path, record = records[0]
    wrong = replace(record.evaluations[1], scores={**record.evaluations[1].scores, "hr@5": 0.9})
    text = explain_cell(TABLE_KINDS["main"], [(path, replace(record, evaluations=(wrong,)))], "sprec,hr@5")
    assert "NOT EQUAL" in text


def test_number_without_lists_is_not_recomputed(make):
    text = explain_cell(TABLE_KINDS["main"], [(Path("x"), make(evaluations=evaluations(0.02)))], "sprec,hr@1")
    assert "cannot be recomputed" in text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("spinach,hr@1", "no row 'spinach'; there is initial SFT, SPRec"),
        ("s,hr@1", "'s' is several rows: initial SFT, SPRec × Self-play; name one of them"),
        ("sprec,hr@7", "there is no score 'hr@7' in these records; there is .*HR@5"),
    ],
)
def test_cell_that_is_not_there_gets_what_there_is(records, cell, message):
    with pytest.raises(ValueError, match=message):
        explain_cell(TABLE_KINDS["ablation"], records, cell)
