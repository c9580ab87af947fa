"""From a number to the runs behind it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sprec.records.run_record import StageEntry
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.explain import explain_cell
from sprec.report.tables.table_kinds import MAIN, TABLE_KINDS
from tests.report.conftest import evaluation, evaluations
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


@pytest.mark.parametrize("name", ["SPRec (beam search)", "SPRec, own best catalogue titles (grounding)"])
def test_row_is_named_as_the_main_table_prints_it(make, name):
    by_negatives = {
        negatives: tuple(
            evaluation("iteration_1", 1, value, ranking=ranking)
            for ranking, value in (("beam", 0.02), ("grounded", 0.04))
        )
        for negatives in ("SelfPlay Greedy", "Beams count=3")
    }
    records = [
        (Path(negatives), make(negatives=negatives, evaluations=scored))
        for negatives, scored in by_negatives.items()
    ]
    (table,) = score_tables(MAIN, [record for _, record in records], TableOptions(tested=False))
    printed = {row[0]: row[table.columns.index("OR@5")] for row in table.rows}
    text = explain_cell(MAIN, records, f"{name},OR@5")
    assert f"OR@5 = {printed[name]:.4f}\n" in text
    assert text.count("    file") == 1
    assert ("Beams count=3" in text) == ("catalogue" in name)
    with pytest.raises(
        ValueError, match=r"'sprec' is several rows: SPRec .beam search., SPRec .grounding., SP"
    ):
        explain_cell(MAIN, records, "sprec,OR@5")


def test_a_whole_name_in_one_table_comes_before_parts_in_another(make):
    scored = (evaluation("iteration_1", 1, 0.02),)
    several = [
        make(seed=0, evaluations=scored, config={"seed": 0, "dpo": {"beta": beta}}) for beta in (0.1, 1.0)
    ]
    alone = make(evaluations=scored)
    alone = replace(alone, dataset=replace(alone.dataset, name="toy", digest="f" * 16))
    records = [(Path(f"{i}/run.json"), record) for i, record in enumerate([*several, alone])]
    text = explain_cell(MAIN, records, "SPRec,hr@5")
    assert "2/run.json" in text
    assert text.count("    file") == 1


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
