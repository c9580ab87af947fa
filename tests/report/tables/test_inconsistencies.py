"""What a table says of runs that were made under other conditions."""

from dataclasses import replace

import pytest

from sprec.records.run_record import WeightsEntry
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.table_kinds import ABLATION, TABLE_KINDS
from tests.report.conftest import evaluation

PLAIN = TableOptions(tested=False)


def config(rows=256, beta=1.0, objective="objectives.dpo", **changes):
    loss = {"_target_": objective, "beta": beta}
    return {"seed": 0, "budget": {"iteration_rows": rows}, "objective": loss, "cutoffs": [1, 5], **changes}


def notes(records, kind=ABLATION):
    (table,) = score_tables(kind, records, PLAIN)
    return [note for note in table.notes if "differ in more" in note or "at different" in note]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, None),
        ({"rows": 512}, "budget.iteration_rows"),
        ({"beta": 5.0}, "objective.beta"),
        ({"beta": 5.0, "objective": "objectives.simpo"}, None),
        ({"cutoffs": [1, 10], "rows": 64}, "budget.iteration_rows, cutoffs"),
        ({"prompt": {"text": "x"}}, "prompt.text"),
        ({"tracker": {"project": "x"}}, None),
    ],
)
def test_rows_that_differ_in_more_than_their_names_are_called_so(make, changes, named):
    made = notes([make(config=config()), make("random_negatives", "Random", config=config(**changes))])
    assert made == ([f"rows differ in more than their names say: {named}"] if named else [])


def test_what_a_row_names_is_no_note(make):
    records = [make(config=config(rows)) for rows in (64, 256)] + [make("without_sft", config=config())]
    assert notes(records) == []
    assert notes(records, TABLE_KINDS["sample_size"]) == []


def test_a_value_that_one_name_says_is_no_excuse_for_others_that_do_not(make):
    varied = [make(config=config(rows)) for rows in (64, 256)]
    others = [make(name, config=config(rows)) for name, rows in (("without_sft", 64), ("without_dpo", 512))]
    assert notes([*varied, *others]) == ["rows differ in more than their names say: budget.iteration_rows"]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"versions": {"torch": "1.13", "polars": "0.1"}}, "versions of torch: 2.13, 1.13"),
        ({"device": "cuda:1"}, "devices: cpu, cuda"),
        ({"engine": {"engine": "plain"}}, "engines: fast, plain"),
        ({"commit": "0" * 40}, "commits: abcdef0123, 0000000000"),
        ({"threads": 8}, None),
    ],
)
def test_seeds_that_were_run_under_other_conditions_are_called_so(make, changes, note):
    first = make(config=config(), versions={"torch": "2.13", "polars": "1.0"}, engine={"engine": "fast"})
    second = replace(first, seed=1, **changes)
    assert notes([first, second]) == (["SPRec: its seeds were run at different " + note] if note else [])


def test_number_formats_losses_and_adapters_are_called_so(make):
    def other(formats="bf16", **changes):
        return [make(config=config()), make("dpo", config=config(**changes), precision=formats)]

    start = "rows differ in more than their names say: "
    assert notes(other("float32")) == [start + "trainer.precision"]
    assert notes(other(trainer={"loss_per": "row"})) == [start + "trainer.loss_per"]
    assert notes(other(base_llm={"lora": {"rank": 8}})) == [start + "base_llm.lora.rank"]
    assert notes(other(trainer={"threads": 2})) == []


def test_what_only_an_llm_has_is_not_compared_with_models_without_one(make):
    scored = (evaluation("sasrec", 0, 0.2, ranking="all items"),)
    bare = make("sasrec", "none", config=config(64), precision="float32", evaluations=scored)
    assert notes([make(config=config()), bare]) == []


def test_base_llms_have_adapters_of_their_own(make):
    records = [
        make(config=config(base_llm={"lora": {"rank": rank}}), weights=WeightsEntry(name, name))
        for name, rank in (("one", 0), ("two", 8))
    ]
    assert notes(records, TABLE_KINDS["base_llm"]) == []
