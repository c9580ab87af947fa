import numpy as np
import pytest

from sprec.evaluation.scores import score_lists

RANKED = np.array([[0, 1], [0, -1], [2, 0]])
TARGET = np.array([1, -1, 2])
HISTORIES = [[0, 1], [2], [1, 1, 2]]
MASSES = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])


def test_scores_of_three_users_worked_by_hand():
    found = score_lists(RANKED, TARGET, HISTORIES, MASSES, cutoffs=(1, 2))
    assert (found.n, found.n_in_catalog) == (3, 2)
    # history mass: item 0 once, item 1 three times, item 2 twice → (1 + 1, 3 + 1) / 6
    # the second target is in no catalogue, so its list counts for no set metric
    # at 1: the others show 0 2 → (1.5, .5) / 2; at 2: 0 1 2 0 → (2.5, 1.5) / 4
    assert found.values == pytest.approx(
        {
            "hr@1": 1 / 3,
            "ndcg@1": 1 / 3,
            "mrr@1": 1 / 3,
            "div_ratio@1": 2 / 2,
            "or_ratio@1": 2 / 2,
            "mgu@1": 1.5 / 2 - 2 / 6,
            "dgu@1": 2 * (1.5 / 2 - 2 / 6),
            "hr@2": 2 / 3,
            "ndcg@2": (1 / np.log2(3) + 1) / 3,
            "mrr@2": (1 / 2 + 1) / 3,
            "div_ratio@2": 3 / 4,
            "or_ratio@2": 4 / 4,
            "mgu@2": 2.5 / 4 - 2 / 6,
            "dgu@2": 2 * (2.5 / 4 - 2 / 6),
        }
    )


def test_keys_come_cutoff_by_cutoff():
    found = score_lists(RANKED, TARGET, HISTORIES, MASSES, cutoffs=(1, 2))
    names = ["hr", "ndcg", "mrr", "div_ratio", "or_ratio", "mgu", "dgu"]
    assert list(found.values) == [f"{name}@{k}" for k in (1, 2) for name in names]


def test_model_without_any_item_hits_nothing_and_has_no_other_metric():
    scores = score_lists(np.full((3, 1), -1), TARGET, HISTORIES, MASSES, cutoffs=(1,))
    assert scores.values == {"hr@1": 0, "ndcg@1": 0, "mrr@1": 0}
    assert scores.undefined == ("div_ratio@1", "or_ratio@1", "mgu@1", "dgu@1")
    assert scores.explain_undefined().startswith("undefined and left out: Div@1, OR@1, MGU@1, DGU@1 (")


def test_lists_whose_items_have_no_selected_genre_have_no_fairness():
    scores = score_lists(RANKED, TARGET, HISTORIES, np.zeros((3, 2)), cutoffs=(1,))
    assert scores.undefined == ("mgu@1", "dgu@1")
    assert scores.values["div_ratio@1"] == 1.0


def test_rows_without_a_known_target_leave_accuracy_alone():
    scores = score_lists(RANKED, np.array([-1, -1, -1]), HISTORIES, MASSES, cutoffs=(1,))
    assert scores.values == {"hr@1": 0, "ndcg@1": 0, "mrr@1": 0}


@pytest.mark.parametrize("known", [1, 2, 5])
def test_a_constant_prediction_has_no_ratio_above_one(known):
    target = np.array([0] * known + [-1] * (5 - known))
    scores = score_lists(np.tile([0, 1, 2], (5, 1)), target, [[1]] * 5, MASSES, cutoffs=(1, 3))
    assert (scores.values["or_ratio@1"], scores.values["or_ratio@3"]) == (1.0, 1.0)
    assert scores.values["div_ratio@3"] == pytest.approx(3 / (3 * known))


def test_popularity_adds_exposure_worked_by_hand():
    popularity = np.array([9, 0, 1])  # item 0 alone has more than 20 % of the interactions
    found = score_lists(RANKED, TARGET, HISTORIES, MASSES, cutoffs=(1, 2), popularity=popularity)
    plain = score_lists(RANKED, TARGET, HISTORIES, MASSES, cutoffs=(1, 2))
    assert plain.values.items() <= found.values.items()
    added = {name: value for name, value in found.values.items() if name not in plain.values}
    # at 1 the lists show 0 2, at 2 they show 0 1 2 0; percentiles 5/6, 1/6, 3/6; targets 1 and 2 are tail
    assert added == pytest.approx(
        {
            "coverage@1": 2 / 3,
            "gini@1": (0 * 1 + 2 * 1) / (3 * 2),
            "entropy@1": np.log(2),
            "popularity@1": (5 / 6 + 3 / 6) / 2,
            "tail_hr@1": 1 / 2,
            "coverage@2": 1.0,
            "gini@2": (-2 * 1 + 0 * 1 + 2 * 2) / (3 * 4),
            "entropy@2": -(1 / 2 * np.log(1 / 2) + 1 / 2 * np.log(1 / 4)),
            "popularity@2": (2 * 5 / 6 + 1 / 6 + 3 / 6) / 4,
            "tail_hr@2": 1.0,
        }
    )


def test_hit_rates_of_head_and_tail_are_left_out_without_such_targets():
    head_only = score_lists(
        RANKED, np.array([0, -1, 0]), HISTORIES, MASSES, (2,), popularity=np.array([9, 0, 1])
    )
    assert head_only.values["head_hr@2"] == 1.0
    assert "tail_hr@2" not in head_only.values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoffs": (1, 5)}, r"cutoffs \[1, 5\] do not fit lists of 2; take 1 to 2"),
        ({"cutoffs": (0,)}, r"cutoffs \[0\] do not fit"),
        ({"histories": [[1]]}, "3 lists, 3 targets, 1 histories; give one of each per row"),
        ({"popularity": np.array([1, 2])}, "popularity of 2 items, genres of 3; give both per item"),
        (
            {"ranked": np.zeros((0, 2), int), "target": np.zeros(0, int), "histories": []},
            "and at least one row",
        ),
    ],
)
def test_input_that_does_not_fit_is_refused_with_its_counts(change, message):
    fitting = {"ranked": RANKED, "target": TARGET, "histories": HISTORIES, "masses": MASSES, "cutoffs": (1,)}
    with pytest.raises(ValueError, match=message):
        score_lists(**(fitting | change))
