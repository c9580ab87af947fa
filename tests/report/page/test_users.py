from dataclasses import replace

import pytest

from sprec.records.run_record import SampledUser
from sprec.report.figures.figure_kinds import MissingPart
from sprec.report.figures.series import arm_series
from sprec.report.page.users import user_examples
from tests.report.conftest import evaluation
from tests.report.hostile_records import TITLES, full


def test_user_has_history_target_and_titles_before_and_after(make):
    examples = user_examples(arm_series([full(make)]))
    first = examples.users[0]
    assert (examples.n, examples.seed, first.row) == (6, 0, 0)
    assert first.history == (TITLES[1], TITLES[2], TITLES[7])
    assert first.target == TITLES[6]
    assert [answer.model for answer in first.answers] == ["initial SFT", "SPRec, iteration 1"]
    assert [answer.written for answer in first.answers] == [TITLES[0], TITLES[6]]
    assert [answer.hit for answer in first.answers] == [False, True]


def test_list_says_which_title_is_next_and_how_many_users_have_it_first(make):
    before, after = user_examples(arm_series([full(make)])).users[0].answers
    assert [(each.hit, each.firsts) for each in before.titles] == [(False, 5), (False, 1)]
    assert [(each.hit, each.firsts) for each in after.titles] == [(True, 1), (False, 1)]


def test_written_title_that_is_no_item_is_said_where_the_record_would_have_it(make):
    """Grounding lists a title that exists; under other rankings the record need not hold the item."""
    beams = full(make)
    grounded = tuple(replace(one, ranking="grounded") for one in beams.evaluations)
    for record, exists in ((replace(beams, evaluations=grounded), False), (beams, True)):
        second = user_examples(arm_series([record])).users[1]
        assert [(each.written, each.exists) for each in second.answers] == [("No Such Film", exists)] * 2


def test_users_are_chosen_by_row(make):
    examples = user_examples(arm_series([full(make)]), [4])
    assert [user.row for user in examples.users] == [4]
    with pytest.raises(ValueError, match="--users 3: the records hold the users 0, 4; take some of these"):
        user_examples(arm_series([full(make)]), [3])


def test_arm_without_a_run_of_the_seed_is_left_out_by_name(make):
    examples = user_examples(arm_series([full(make, seed=1), full(make, "without_sft", seed=2)]))
    assert (examples.seed, examples.left_out) == (1, ("without SFT",))


def test_arm_that_saw_other_users_is_left_out(make):
    other = full(make, "without_sft")
    other = replace(other, sampled_users=(replace(other.sampled_users[0], target=1), other.sampled_users[1]))
    assert user_examples(arm_series([full(make), other])).left_out == ("without SFT",)


def test_titles_that_were_not_written_down_leave_the_lists(make):
    record = full(make)
    silent = replace(record, evaluations=tuple(replace(each, written=()) for each in record.evaluations))
    answer = user_examples(arm_series([silent])).users[0].answers[0]
    assert (answer.written, answer.hit, len(answer.titles)) == ("", False, 2)


def test_record_of_schema_1_has_no_users(make):
    assert isinstance(user_examples(arm_series([make()])), MissingPart)


def test_users_whose_lists_changed_most_come_first(make):
    # The last model changes both places for user 2, one for user 0 and none for user 5.
    users = tuple(SampledUser(row, (1, 2), 6) for row in (5, 0, 2))
    examples = user_examples(arm_series([replace(full(make), sampled_users=users)]))
    assert [user.row for user in examples.users] == [2, 0, 5]


def test_a_baselines_lists_are_its_own_and_not_the_initial_sft(make):
    """A baseline is evaluated at iteration 0 too, and stands before SPRec in the registry."""
    baseline = full(make, "sasrec", negatives="none")
    (lists,) = [one for one in baseline.evaluations if one.iteration == 0]
    lists = replace(lists, label="sasrec", ranking="all items", written=())
    sasrec = replace(baseline, evaluations=(lists,))
    first = user_examples(arm_series([sasrec, full(make)]), [0]).users[0]
    assert [answer.model for answer in first.answers] == ["initial SFT", "SASRec", "SPRec, iteration 1"]
    assert [answer.written for answer in first.answers] == [TITLES[0], "", TITLES[6]]


def test_a_run_that_is_behind_other_seeds_has_no_model_to_show_yet(make):
    ahead, behind = full(make, seed=1, status="running"), full(make, status="running")
    behind = replace(behind, evaluations=(evaluation("most_popular", None, 0.03, n=6, ranking="popularity"),))
    assert isinstance(user_examples(arm_series([behind, ahead])), MissingPart)


def test_an_arm_that_is_behind_at_the_seed_shown_is_named_as_left_out(make):
    behind, ahead = (full(make, "without_sft", seed=seed, status="running") for seed in (0, 1))
    behind = replace(behind, evaluations=(evaluation("most_popular", None, 0.03, n=6, ranking="popularity"),))
    examples = user_examples(arm_series([full(make), behind, ahead]))
    assert [answer.model for answer in examples.users[0].answers] == ["initial SFT", "SPRec, iteration 1"]
    assert examples.left_out == ("without SFT",)


def test_two_arms_that_would_have_one_name_are_told_apart_and_each_shows_its_own_lists(make):
    """Greedy is how self-play decodes where nothing is said, so that "SelfPlay" reads alike."""
    first, second = full(make, negatives="SelfPlay Greedy"), full(make, negatives="SelfPlay")
    lists = tuple(replace(one, lists=second.evaluations[0].lists) for one in second.evaluations)
    examples = user_examples(arm_series([first, replace(second, evaluations=lists)]), [0])
    answers = examples.users[0].answers[1:]
    assert [answer.model for answer in answers] == ["SPRec (1), iteration 1", "SPRec (2), iteration 1"]
    assert [answer.titles[0].title for answer in answers] == [TITLES[6], TITLES[0]]
    assert examples.left_out == ()


def test_arms_of_one_name_show_their_own_lists_whatever_names_them(make):
    series = arm_series([full(make), full(make, "without_sft")])
    alike = [replace(arm, name="x") for arm in series]
    alike[1] = replace(alike[1], iterations={0: alike[1].iterations[0]})
    answers = user_examples(alike, [0]).users[0].answers
    assert [answer.model for answer in answers] == ["initial SFT", "x, iteration 1"]


def test_a_start_is_shown_for_each_kind_of_lists(make):
    arms = [
        full(make, config={"seed": 0, "ranking": {"exclude_history": exclude}}) for exclude in (False, True)
    ]
    answers = user_examples(arm_series(arms)).users[0].answers
    assert [answer.model for answer in answers][:2] == [
        "initial SFT (beam search, with history)",
        "initial SFT (beam search, without history)",
    ]
