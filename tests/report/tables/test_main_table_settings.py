"""What the main table says of settings, rankings and seeds that its datasets do not share."""

import pytest

from sprec.records.run_record import DatasetEntry, RowCounts
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.table_kinds import MAIN
from tests.report.conftest import evaluation, evaluations

OTHER = DatasetEntry("goodreads", "1" * 16, 4, RowCounts(3, 2, 1))


def table(records):
    (made,) = score_tables(MAIN, records, TableOptions(plain=True, tested=False))
    return made


def config(seed=0, beta=0.1, rows=128, **changes):
    return {"seed": seed, "objective": {"beta": beta}, "budget": {"iteration_rows": rows}} | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        (
            {"beta": 1},
            "row SPRec differs between datasets in objective.beta (movie_lens: 0.1, Goodreads: 1)",
        ),
        (
            {"beta": 1, "rows": 64},
            "row SPRec differs between datasets in "
            "budget.iteration_rows (movie_lens: 128, Goodreads: 64), "
            "objective.beta (movie_lens: 0.1, Goodreads: 1)",
        ),
        ({"dataset": {"history_max": 5}}, None),
        ({"method": {"baseline": {"model": {"length": 5}}}}, None),
        ({"trainer": {"threads": 9}}, None),
    ],
    ids=["alike", "beta", "two settings", "dataset", "length of histories", "threads"],
)
def test_a_row_whose_settings_differ_between_datasets_says_so(make, changes, said):
    records = [make(config=config()), make(config=config(**changes), dataset=OTHER)]
    notes = table(records).notes
    assert [note for note in notes if "between datasets" in note] == ([said] if said else [])


def test_rows_that_differ_alike_share_a_note(make):
    records = [
        make(name, config=config(beta=beta), dataset=data)
        for name in ("dpo", "sprec")
        for beta, data in ((0.1, make().dataset), (1.0, OTHER))
    ]
    (note,) = [note for note in table(records).notes if "between datasets" in note]
    assert note.startswith("rows DPO, self-play; SPRec differ between datasets in objective.beta (")


def test_a_start_that_differs_between_datasets_says_so_and_a_failed_run_does_not(make):
    rates = [{"iterations": 1, "initial": {"learning_rate": rate}} for rate in (0.1, 0.2)]
    first = make(config=config(budget=rates[0]))
    lost = make(config=config(budget=rates[1]), dataset=OTHER, status="failed", evaluations=evaluations())
    notes = [note for note in table([first, lost]).notes if "between datasets" in note]
    assert notes == [
        "row initial SFT differs between datasets in budget.initial.learning_rate "
        "(movie_lens: 0.1, Goodreads: 0.2)"
    ]


def test_a_model_without_an_llm_has_no_settings_of_one(make):
    scored = (evaluation("sasrec", 0, 0.2, ranking="all items"),)
    records = [
        make("sasrec", "none", config=config(beta=beta), dataset=data, evaluations=scored)
        for beta, data in ((0.1, make().dataset), (1.0, OTHER))
    ]
    assert not any("between datasets" in note for note in table(records).notes)


def test_rows_name_their_ranking_where_two_datasets_have_two(make):
    def ranked(name, **changes):
        ranking = {"_target_": f"rankers.{name}"}
        scored = (evaluation("iteration_1", 1, 0.2, ranking=name),)
        return make(config=config(ranking=ranking), evaluations=scored, **changes)

    both = table([ranked("beam"), ranked("grounded", dataset=OTHER)])
    assert [row[0] for row in both.rows] == ["SPRec (beam search)", "SPRec (grounding)"]
    assert not any("between datasets" in note for note in both.notes)
    alone = table([ranked("beam"), ranked("beam", dataset=OTHER)])
    assert [row[0] for row in alone.rows] == ["SPRec"]


def test_the_caption_says_where_rows_have_fewer_seeds(make):
    records = [make(), make(seed=1), make("dpo", "Random")]
    assert "deviations over 1 to 2 seeds, N" in table(records).title
    assert "deviations over 2 seeds, N" in table(records[:2]).title
    lost = make("dpo", "Random", status="failed", evaluations=())
    assert "deviations over 2 seeds, N" in table([*records[:2], lost]).title
    assert "with SmolLM2-135M-Instruct: one seed, N" in table(records[:1]).title
