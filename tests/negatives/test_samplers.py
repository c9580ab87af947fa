"""What each strategy promises, on six items and with a model of canned answers."""

from dataclasses import dataclass, field, fields

import numpy as np
import pytest

from sprec.data.catalog import Catalog
from sprec.data.examples import Example
from sprec.generation.grounding import CharacterNgrams
from sprec.negatives import (
    Balanced,
    Beams,
    Ches,
    Exposure,
    GroundedSelfPlay,
    InBatch,
    Mixture,
    Popular,
    Random,
    SamplerContext,
    SelfPlay,
    Semantic,
    base,
    describe_sampler,
)

CATALOG = Catalog(tuple("ABCDEF"), (("War",), ("War",), ("Crime",), ("Drama",), ("War", "Crime"), ()))
TARGET_C = Example((0, 1), 2)


@dataclass(frozen=True)
class Canned(SamplerContext):
    """SamplerContext whose model answers from these lists; without them it may not be asked."""

    written: list[list[str]] = field(default_factory=list)
    beams: list[list[int]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def write_titles(self, examples, rng, *, count=1):
        return [titles[:count] for titles in self.written[: len(examples)]]

    def best_items(self, examples, *, k):
        self.asked.append(k)
        padded = [(items + [-1] * k)[:k] for items in self.beams]
        return np.array(padded)

    def mean_hidden_states(self, examples, answers):
        return np.array([[[1.0, item] for item in items] for items in answers])


def never():
    raise AssertionError("this strategy needs no model")


def context(popularity=(5, 4, 3, 2, 1, 0), **canned):
    return Canned(
        catalog=CATALOG,
        popularity=np.array(popularity),
        genres=("War", "Crime", "Drama"),
        embedder=CharacterNgrams(),
        decoding=None,
        load=never,
        batch_tokens=100,
        **canned,
    )


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("strategy", [Random, Popular, Ches], ids=lambda each: each.__name__)
def test_sampled_titles_are_distinct_and_never_the_target_or_in_the_history(strategy, count):
    sampled = strategy(count=count)([TARGET_C] * 50, context((1,) * 6), rng())
    assert all(len(titles) == len(set(titles)) == count for titles in sampled)
    assert {title for titles in sampled for title in titles} <= set("DEF")


def test_random_is_uniform_over_what_is_left():
    sampled = [titles[0] for titles in Random()([TARGET_C] * 3000, context(), rng())]
    assert [sampled.count(title) / 3000 for title in "DEF"] == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("strategy", [Random(count=4), Popular(count=3)], ids=["random", "popular"])
def test_where_the_catalogue_is_used_up_there_is_no_negative(strategy):
    assert strategy([TARGET_C], context(), rng()) == [[]]  # D, E and F are left; nobody consumed F


@pytest.mark.parametrize(
    ("exponent", "shares"),
    [(0.0, [1 / 3, 1 / 3, 1 / 3]), (1.0, [2 / 3, 1 / 3, 0.0]), (2.0, [4 / 5, 1 / 5, 0.0])],
)
def test_popular_draws_in_proportion_to_a_power_of_the_training_counts(exponent, shares):
    sampled = [titles[0] for titles in Popular(exponent=exponent)([TARGET_C] * 3000, context(), rng())]
    assert [sampled.count(title) / 3000 for title in "DEF"] == pytest.approx(shares, abs=0.03)


def test_negative_exponent_is_refused():
    with pytest.raises(ValueError, match=r"exponent = -1"):
        Popular(exponent=-1)


def test_in_batch_draws_other_targets_of_the_own_batch_outside_the_history():
    rows = [Example((0,), 1), Example((1,), 2), Example((3,), 3), Example((2,), 4)]
    sampled = InBatch(count=4)(rows, context(), rng())
    assert [set(titles) for titles in sampled] == [set("CDE"), set("DE"), set("BCE"), set("BD")]
    pairs = InBatch(batch_rows=2)(rows * 20, context(), rng())
    assert {len(titles) for titles in pairs} == {0, 1}  # two rows of one target have no other


def test_semantic_negatives_are_the_nearest_or_farthest_titles():
    shelf = Catalog(("Red Fox", "Red Fog", "Red Owl", "Blue Whale", "Red Fox 2"), ((),) * 5)
    setting = SamplerContext(shelf, np.ones(5), (), CharacterNgrams(), None, never, 100)
    row = Example((4,), 0)
    assert Semantic(similar=True, count=2)([row], setting, rng()) == [["Red Fog", "Red Owl"]]
    assert Semantic(similar=False)([row], setting, rng()) == [["Blue Whale"]]
    assert Semantic(similar=True, to="history")([Example((3, 3), 0)], setting, rng()) != [["Blue Whale"]]
    assert Semantic(similar=True, to="history")([Example((4,), 2)], setting, rng()) == [["Red Fox"]]


def test_self_play_takes_the_written_titles_and_drops_empty_ones_and_repeats():
    setting = context(written=[["C", "C"], ["", "X"], ["", ""]])
    rows = [Example((0,), 1)] * 3
    assert SelfPlay()(rows, setting, rng()) == [["C"], [], []]
    assert SelfPlay(count=2)(rows, setting, rng()) == [["C"], ["X"], []]


def test_grounded_self_play_takes_the_nearest_catalogue_titles():
    sampled = GroundedSelfPlay(count=2)([TARGET_C] * 2, context(written=[["D"], [""]]), rng())
    assert sampled[0][0] == "D"
    assert [len(titles) for titles in sampled] == [2, 0]
    assert GroundedSelfPlay()([TARGET_C], context(written=[[""]]), rng()) == [[]]


def test_beams_are_the_most_probable_titles_and_wrong_ones_pass_over_the_target():
    setting = context(beams=[[2, 4, 3], [3, -1, -1]])
    rows = [TARGET_C, TARGET_C]
    assert Beams()(rows, setting, rng()) == [["C"], ["D"]]
    assert Beams(count=2)(rows, setting, rng()) == [["C", "E"], ["D"]]
    assert Beams(wrong_only=True, count=2)(rows, setting, rng()) == [["E", "D"], ["D"]]
    assert setting.asked == [10, 10, 10]
    assert Beams(count=12, wrong_only=True).searched == 13


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"exposure": "low"}, ["F"]),
        ({"exposure": "high", "count": 2}, ["D", "E"]),
        ({"exposure": "low", "cluster": "in", "top_genres": 1, "count": 3}, ["E"]),
        ({"exposure": "low", "cluster": "out", "top_genres": 1, "count": 3}, ["F", "D"]),
        ({"exposure": "high", "cluster": "out", "top_genres": 1}, ["D"]),
    ],
    ids=["low", "high", "clusterin_low", "clusterout_low", "clusterout_high"],
)
def test_exposure_orders_beams_by_training_counts_inside_or_outside_the_users_genres(settings, expected):
    setting = context(beams=[[0, 2, 4, 5, 3]])  # history A, B (War) and target C are passed over
    assert Exposure(**settings)([TARGET_C], setting, rng()) == [expected]


def test_top_genres_are_those_of_most_weight_in_the_history():
    setting = context()
    history = Example((0, 1, 4, 2), 3)  # War 2.5, Crime 1.5
    assert setting.in_top_genres(history, 1).tolist() == [True, True, False, False, True, False]
    assert setting.in_top_genres(history, 3).tolist() == [True, True, True, False, True, False]


def test_equally_frequent_beams_stay_in_the_models_order():
    setting = context((1,) * 6, beams=[[4, 5, 3]])
    for exposure in ("low", "high"):
        assert Exposure(exposure, count=3)([TARGET_C], setting, rng()) == [["E", "F", "D"]]


def test_balanced_draws_one_from_each_half_of_the_beams_by_exposure():
    setting = context((9, 9, 9, 3, 2, 1), beams=[[0, 3, 4, 5, 2]] * 40)
    sampled = Balanced()([Example((), 2)] * 40, setting, rng())
    assert {title for title, _ in sampled} == {"F", "E"}  # A, D, E, F are left
    assert {title for _, title in sampled} == {"D", "A"}


@pytest.mark.parametrize(("similar", "expected"), [(True, ["F", "E"]), (False, ["D", "E"])])
def test_ches_takes_the_extremes_of_hidden_state_similarity(similar, expected):
    assert Ches(similar=similar, count=2)([TARGET_C], context(), rng()) == [expected]


def test_ches_without_any_item_left_has_no_negative():
    assert Ches()([Example((0, 1, 2, 3, 4), 5)], context(), rng()) == [[]]


def test_mixture_draws_each_row_from_one_part_in_its_share():
    parts = {"play": SelfPlay(), "random": Random()}
    setting = context(written=[["X"]] * 1000)
    sampled = Mixture(parts, {"play": 3, "random": 1})([TARGET_C] * 1000, setting, rng())
    assert sampled.count(["X"]) / 1000 == pytest.approx(0.75, abs=0.04)
    assert {title for [title] in sampled} == {"X", "D", "E", "F"}


@pytest.mark.parametrize(
    ("shares", "count", "message"),
    [
        ({"a": 1, "b": 1}, 1, r"names \['a', 'b'\]; name \['a'\]"),
        ({"a": -1}, 1, "negative"),
        ({"a": 0}, 1, "all be 0"),
        ({"a": 1}, 2, "each needs count: 2"),
    ],
    ids=["other names", "negative", "zero", "other count"],
)
def test_mixture_refuses_shares_that_mean_nothing(shares, count, message):
    with pytest.raises(ValueError, match=message):
        Mixture({"a": Random()}, shares, count)


def test_samplers_say_what_they_need():
    def needs(each):
        return each.uses_model, each.uses_decoding, each.uses_embeddings

    assert needs(Random()) == needs(Popular()) == needs(InBatch()) == (False, False, False)
    assert needs(Semantic(similar=True)) == (False, False, True)
    assert (
        needs(Beams()) == needs(Exposure("low")) == needs(Balanced()) == needs(Ches()) == (True, False, False)
    )
    assert needs(SelfPlay()) == (True, True, False)
    assert needs(GroundedSelfPlay()) == (True, True, True)
    assert needs(Mixture({"a": Random(), "b": GroundedSelfPlay()}, {"a": 1, "b": 1})) == (True, True, True)
    assert needs(Mixture({"a": Random()}, {"a": 1})) == (False, False, False)


STRATEGIES = [
    Random(2),
    Popular(2),
    InBatch(2, batch_rows=4),
    Balanced(),
    Ches(count=2, candidates=3),
    Mixture({"a": Random(2), "b": Popular(2)}, {"a": 1, "b": 1}, 2),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=describe_sampler)
def test_draw_is_the_same_whatever_ran_before(strategy):
    rows = [Example((i % 3,), 3 + i % 3) for i in range(12)]
    setting = context((1,) * 6, beams=[[0, 1, 2, 3, 4, 5]] * 12)
    alone = strategy(rows, setting, rng(7))
    Random()(rows, setting, rng(1))
    strategy(rows[:5] + rows[:7], setting, rng(2))
    assert strategy(rows, setting, rng(7)) == alone
    assert strategy(rows, setting, rng(8)) != alone


def test_told_names_settings_that_are_not_the_default():
    assert describe_sampler(SelfPlay()) == "SelfPlay"
    assert describe_sampler(Exposure("high", "in", count=3)) == "Exposure exposure=high cluster=in count=3"
    assert describe_sampler(Mixture({"a": Random(2)}, {"a": 1}, 2)) == "Mixture count=2"


@pytest.mark.parametrize(
    ("sampler", "setting"),
    [
        *((Beams, {"width": 0}), (Exposure, {"exposure": "low", "width": 0}), (Balanced, {"width": -1})),
        *((Exposure, {"exposure": "low", "top_genres": 0}), (Ches, {"candidates": 0})),
        *((InBatch, {"batch_rows": 0}), (InBatch, {"batch_rows": -1})),
    ],
)
def test_settings_that_leave_nothing_to_choose_from_are_refused(sampler, setting):
    with pytest.raises(ValueError, match=r"negatives\.\w+ = (0|-1) must be 1 or more"):
        sampler(**setting)


def test_titles_that_the_model_writes_stay_with_their_rows(monkeypatch):
    def write(model, prompts, *rest, **options):
        return [f"{prompt} for the {place % 2 + 1}. time" for place, prompt in enumerate(prompts)]

    def encode(model, catalog, rows):
        return [f"row {row.target}" for row in rows]

    monkeypatch.setattr(base, "encode_prompts", encode)
    monkeypatch.setattr(base, "write_titles", write)
    given = {each.name: getattr(context(), each.name) for each in fields(SamplerContext)}
    asked = SamplerContext(**given | {"load": lambda: None})
    rows = [Example((0,), target) for target in (1, 2, 3)]
    expected = [[f"row {target} for the {time}. time" for time in (1, 2)] for target in (1, 2, 3)]
    assert asked.write_titles(rows, rng(), count=2) == expected
