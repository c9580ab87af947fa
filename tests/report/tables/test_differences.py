"""What rows of a table are compared with, from lists counted by hand."""

import zlib
from base64 import b64encode
from dataclasses import replace

import numpy as np
import pytest

from sprec.records.encoded_ids import encode_ids
from sprec.records.recorded_items import RecordedItem
from sprec.records.run_record import Evaluation, WeightsEntry
from sprec.report.tables.arms import group_by_setting
from sprec.report.tables.comparison import TableOptions, compare_runs
from sprec.report.tables.difference_table import difference_table
from sprec.report.tables.table_kinds import TABLE_KINDS

USERS = 4
ITEMS = {
    str(item): RecordedItem(f"Title {item}", ("A", "B")[item % 2 : item % 2 + 1], 1) for item in range(9)
}


def evaluation(label, iteration, hits, ranking):
    """Return an evaluation of lists of one: the first `hits` of four users get item 0, their target."""
    lists = np.array([[0] if user < hits else [user + 1] for user in range(USERS)])
    scores = {"hr@1": hits / USERS}
    return Evaluation(label, iteration, USERS, USERS, scores, ranking, "test", lists=encode_ids(lists))


def record(make, method, ranking, start, hits, *, exclude_history=False):
    config = {"seed": 0, "ranking": {"_target_": f"rankers.{ranking}", "exclude_history": exclude_history}}
    evaluations = (evaluation("initial_sft", 0, start, ranking), evaluation("iteration_1", 1, hits, ranking))
    made = make(method, config=config, evaluations=evaluations)
    return replace(made, targets=encode_ids(np.zeros((USERS, 1), dtype=int)), items=ITEMS)


@pytest.fixture
def both_rankings(make):
    """Return two arms under both rankings: 0 and 1 of 4 users hit under beams, 2 and 3 when grounded."""
    return [
        record(make, method, ranking, start, start + more)
        for ranking, start in (("beam", 0), ("grounded", 2))
        for method, more in (("sprec", 0), ("without_sft", 1))
    ]


def compare(records, against):
    ((setting, runs),) = group_by_setting(records).items()
    return compare_runs(TABLE_KINDS["ablation"], setting, runs, TableOptions(against=against))


def means(comparison):
    return {
        str(comparison.rows[place]): difference.mean
        for (place, _), difference in comparison.differences.items()
    }


def test_a_row_is_compared_with_the_baseline_of_its_own_ranking(both_rankings):
    made = compare(both_rankings, None)
    assert means(made) == {
        "initial SFT (beam search)": 0.0,
        "initial SFT (grounding)": 0.0,
        "without SFT (beam search) × Self-play": 0.25,
        "without SFT (grounding) × Self-play": 0.25,
    }
    assert made.baseline_name == "SPRec under the same ranking, else SPRec (beam search) × Self-play"


def test_the_start_of_another_ranking_is_no_ones_start(both_rankings):
    made = compare(both_rankings, "initial SFT")
    assert {name: mean for name, mean in means(made).items() if name.startswith("without")} == {
        "without SFT (beam search) × Self-play": 0.25,
        "without SFT (grounding) × Self-play": 0.25,
    }
    assert made.baseline_name == "initial SFT under the same ranking, else initial SFT (beam search)"


def test_one_baseline_serves_all_rows_and_is_named_with_its_ranking(both_rankings):
    made = compare(both_rankings, "SPRec (beam search)")
    assert means(made)["without SFT (grounding) × Self-play"] == 0.75
    assert made.baseline_name == "SPRec (beam search) × Self-play"


def test_lists_without_histories_are_never_compared_with_lists_that_hold_them(make):
    records = [
        record(make, method, "beam", start, start + more, exclude_history=exclude)
        for exclude, start in ((False, 0), (True, 2))
        for method, more in (("sprec", 0), ("without_sft", 1))
    ]
    found = means(compare(records, None))
    assert {name: mean for name, mean in found.items() if name.startswith("without SFT")} == {
        "without SFT (ranking.exclude_history=False) × Self-play": 0.25,
        "without SFT (ranking.exclude_history=True) × Self-play": 0.25,
    }
    one_kind = compare(records, "SPRec (ranking.exclude_history=False)")
    assert [name for name in means(one_kind) if "True" in name or "without history" in name] == []


def plain_marks(records):
    """Return the marks on HR@1 by the rows' names, and what the caption adds on them."""
    ((setting, runs),) = group_by_setting(records).items()
    made = compare_runs(TABLE_KINDS["ablation"], setting, runs, TableOptions(plain=True))
    return {str(made.rows[place]): mark for (place, _), mark in made.marks.items()}, made.marked_among


def test_the_best_is_marked_within_each_ranking(both_rankings):
    marks, among = plain_marks(both_rankings)
    # Nobody follows the second: of each ranking's three rows two have equal scores.
    assert marks == dict.fromkeys(
        (f"without SFT ({ranking}) × Self-play" for ranking in ("beam search", "grounding")), "best"
    )
    assert among == " under each ranking"


def test_with_one_ranking_the_best_is_marked_among_all_rows_baselines_too(make, both_rankings):
    popular = replace(evaluation("most_popular", None, 4, "popularity"), ranking="popularity")
    beams = [replace(run, evaluations=(popular, *run.evaluations)) for run in both_rankings[:2]]
    marks, among = plain_marks(beams)
    assert marks == {"most popular": "best", "without SFT × Self-play": "second"}
    assert among == ""


def test_with_several_rankings_baselines_are_marked_among_themselves(make, both_rankings):
    popular = evaluation("most_popular", None, 4, "popularity")
    baseline = replace(both_rankings[0], method="sasrec", negatives="none")
    baseline = replace(baseline, evaluations=(popular, evaluation("sasrec", 0, 3, "all items")))
    marks, _ = plain_marks([*both_rankings, baseline])
    assert marks["most popular"] == "best"
    assert len(marks) == 3


def test_marks_never_cross_lists_with_and_without_histories(make):
    records = [
        record(make, method, "beam", start, start + more, exclude_history=exclude)
        for exclude, start in ((False, 0), (True, 2))
        for method, more in (("sprec", 0), ("without_sft", 1))
    ]
    marks, among = plain_marks(records)
    assert sorted(marks.values()) == ["best", "best"]
    assert among


def test_another_arm_is_no_baseline_for_lists_of_another_kind(make):
    greedy = record(make, "sprec", "beam", 0, 1)
    beams = [
        replace(record(make, "sprec", ranking, start, 3), negatives="Beams count=3")
        for ranking, start in (("beam", 0), ("grounded", 2))
    ]
    made = compare([greedy, *beams], None)
    assert made.baseline_name == "SPRec (beam search) × Self-play"
    # Beside the one baseline that there is: 3 of 4 hits and 1 of 4.
    name = "SPRec (grounding) × Own best catalogue titles"
    assert means(made)[name] == 0.5
    assert made.baselines[0].arm.negatives == "self_play"


def test_the_baseline_of_two_rankings_is_named_with_its_negatives(make):
    both = [
        replace(record(make, "sprec", ranking, 0, 1), negatives="Beams count=3")
        for ranking in ("beam", "grounded")
    ]
    other = [record(make, "without_sft", ranking, 0, 2) for ranking in ("beam", "grounded")]
    assert compare([*both, *other], "sprec").baseline_name == (
        "SPRec, own best catalogue titles under the same ranking, "
        "else SPRec (beam search) × Own best catalogue titles"
    )


def test_each_base_llm_is_compared_with_its_own_start_and_no_other_one_is_marked_for_it(make):
    small, large = (
        replace(record(make, "sprec", "beam", start, last), weights=WeightsEntry(name, name))
        for name, start, last in (("small", 1, 1), ("large", 2, 4))
    )
    ((setting, runs),) = group_by_setting([small, large], across_llms=True).items()
    made = compare_runs(TABLE_KINDS["base_llm"], setting, runs, TableOptions())
    assert made.baseline_name == "the initial SFT of the same base LLM"
    changes = {made.rows[place].names[0]: one.mean for (place, _), one in made.differences.items()}
    assert changes == {"small": 0.0, "large": 0.5}
    certain = {place: replace(one, p=0.0, low=0.1) for place, one in made.differences.items()}
    made.__dict__["differences"] = certain  # four users are too few for any test
    starts = {row.names[0]: place for place, row in enumerate(made.rows) if row.is_initial}
    following = next(place for place, _ in certain if made.rows[place].names[0] == "large")
    assert made._leads_on("hr@1")(starts["large"], following)
    assert not made._leads_on("hr@1")(starts["small"], following)


def test_scores_without_a_test_are_called_that_and_not_lists_of_other_users(both_rankings):
    ((setting, runs),) = group_by_setting(both_rankings).items()
    options = TableOptions(columns=("off_catalog",), tested=True)
    made = compare_runs(TABLE_KINDS["ablation"], setting, runs, options)
    assert made.test_note() == "No intervals and tests: there is no test for off-catalogue"


def test_equal_targets_are_compared_however_they_are_packed_and_other_ones_are_said(make):
    records = [record(make, "sprec", "beam", 0, 1), record(make, "without_sft", "beam", 0, 2)]
    raw = np.zeros((USERS, 1), dtype="<i4").tobytes()
    packed = b64encode(zlib.compress(raw, 0)).decode()
    assert packed != records[1].targets
    same = difference_table(compare([records[0], replace(records[1], targets=packed)], "sprec"))
    assert [row[0] for row in same.rows] == ["initial SFT", "without SFT"]
    assert len(same.notes) == 1
    other = encode_ids(np.ones((USERS, 1), dtype=int))
    table = difference_table(compare([records[0], replace(records[1], targets=other)], "sprec"))
    assert "without SFT" not in [row[0] for row in table.rows]
    assert table.notes[0] == "not compared, for want of lists of the same users: without SFT × Self-play"


def test_a_row_that_shares_fewer_seeds_with_its_baseline_says_over_which(make):
    records = [record(make, "sprec", "beam", 0, 1), record(make, "without_sft", "beam", 0, 2)]
    records.append(replace(records[0], seed=1))
    notes = difference_table(compare(records, None)).notes
    assert notes[0].startswith("over seed 0 alone: without SFT")
    assert "SPRec" not in notes[0]
    assert len(notes) == 2  # beside the records' source
    alike = difference_table(compare([*records, replace(records[1], seed=1)], None)).notes
    assert len(alike) == 1
    against = difference_table(compare(records, "without SFT")).notes
    assert against[0] == "over seed 0 alone: all of them"
