"""Stage keys: what a stage depends on, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module

import polars as pl
import pytest

from sprec.algorithm import SelfPlayAlgorithm
from sprec.baselines.guided_ranker import CollaborativeModel, GuidedRanker
from sprec.baselines.recommenders import MostPopular
from sprec.baselines.sasrec import sasrec
from sprec.baselines.sequential import FitSettings
from sprec.costs.cost_estimator import CostEstimator
from sprec.data.catalog import Catalog
from sprec.data.prompts import Prompt, released_templates
from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Greedy, Sampled
from sprec.generation.grounding import CharacterNgrams
from sprec.generation.model_work import ModelWork
from sprec.generation.rankers import BeamRanker, GroundedRanker, ground_titles
from sprec.negatives import (
    Beams,
    Exposure,
    GroundedSelfPlay,
    Mixture,
    Popular,
    Random,
    SamplerContext,
    SelfPlay,
    Semantic,
)
from sprec.seeds import stream
from sprec.store.store import Store
from sprec.training.context import ModelState, StageContext, TestSetup
from sprec.training.counterfactual import Counterfactual
from sprec.training.objectives import dmpo, dpo, sdpo
from sprec.training.policy_training import CURVE
from sprec.training.ranking_stages import PREDICTIONS, RankingStages
from sprec.training.row_sampling import RowSampling
from sprec.training.row_weights import GenreBalance
from sprec.training.schedule import Schedule
from sprec.training.stages import Stages

SCHEDULE = Schedule(1, 8, 1e-4, 1, 1.0, 2048)
SIZES = RowSampling(64, 16)
PAIRS = ModelState("pairs", None)


def never():
    raise AssertionError("planning loads no model")


@pytest.fixture
def planned(tmp_path):
    """Return a maker of plans whose titles are embedded in so many dimensions."""
    data = toy_dataset()

    def build(size=8, sizes=SIZES, **numerics):
        engine = StageContext(data, never, CharacterNgrams(size), 0, 2048, numerics, {})
        return CostEstimator(engine, Store(tmp_path), sizes, model=None)

    return build


def key(stages, sampler, decoding=None, *, model="a", **settings):
    return stages.negatives(ModelState(model, None), 1, sampler, decoding or Greedy(), **settings).key


@pytest.mark.parametrize(
    ("sampler", "model", "decoding", "embedder"),
    [
        (Random(), False, False, False),
        (Popular(), False, False, False),
        (Semantic(similar=True), False, False, True),
        (Beams(), True, False, False),
        (Exposure("low"), True, False, False),
        (SelfPlay(), True, True, False),
        (GroundedSelfPlay(), True, True, True),
    ],
    ids=lambda each: type(each).__name__,
)
def test_pairs_depend_on_exactly_what_their_sampler_uses(planned, sampler, model, decoding, embedder):
    before = key(planned(), sampler)
    assert key(planned(), sampler) == before
    assert (key(planned(), sampler, model="b") != before) is model
    assert (key(planned(), sampler, Sampled()) != before) is decoding
    assert (key(planned(9), sampler) != before) is embedder


def own_sampler(tmp_path, monkeypatch, module):
    """Return a sampler of this module outside the package; its class has the same name in each."""
    (tmp_path / f"{module}.py").write_text(
        "from dataclasses import dataclass\nfrom sprec.negatives import Random\n\n\n"
        "@dataclass(frozen=True)\nclass Hard(Random):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return import_module(module).Hard()


def test_classes_of_one_name_share_nothing_even_where_any_code_is_accepted(planned, tmp_path, monkeypatch):
    one, two = (own_sampler(tmp_path, monkeypatch, module) for module in ("first_own", "second_own"))
    assert repr(one) == repr(two)
    # The key begins with what does not depend on code: by it `store.accept=any_code` finds stages.
    recipes = [key(planned(), sampler)[:20] for sampler in (one, two, Mixture({"a": one}, {"a": 1.0}))]
    assert len(set(recipes)) == 3
    mixtures = [key(planned(), Mixture({"a": each}, {"a": 1.0}))[:20] for each in (one, two)]
    assert len(set(mixtures)) == 2


def test_pairs_depend_on_the_samplers_settings_and_on_what_is_kept(planned):
    keys = {key(planned(), each) for each in (Random(), Random(2), Popular(), Popular(exponent=0.5))}
    assert len({*keys, key(planned(), Random(), keep_pairs_equal_to_target=True)}) == 5


def test_tuned_weights_depend_on_the_objective_and_each_of_its_settings(planned):
    forms = [partial(dpo, beta=0.1), partial(dpo, beta=1.0), partial(sdpo, beta=0.1), partial(dmpo, beta=0.1)]
    forms += [partial(dmpo, beta=0.1, scaled_by_count=True)]
    keys = [planned().dpo(ModelState("a", None), PAIRS, 1, SCHEDULE, each).key for each in forms]
    assert len(set(keys)) == 5
    assert planned().dpo(ModelState("a", None), PAIRS, 1, SCHEDULE, partial(dpo, beta=0.1)).key == keys[0]


def test_sft_depends_on_the_history_s_effect_where_it_learns_one(planned):
    forms = [None, Counterfactual(0.1, 0.25), Counterfactual(0.2, 0.25), Counterfactual(0.1, 0.5)]
    keys = [planned().sft(ModelState("a", None), 0, SCHEDULE, counterfactual=form).key for form in forms]
    assert len(set(keys)) == 4
    assert planned().sft(ModelState("a", None), 0, SCHEDULE).key == keys[0]


def guided(alpha=0.5, width=16):
    return TestSetup(
        GuidedRanker(
            collaborative=CollaborativeModel(partial(sasrec, width=width), FitSettings()), alpha=alpha
        ),
        "test",
        5,
    )


def test_assistant_is_shared_by_all_that_differ_in_the_llm_alone(planned):
    before = planned().assistant(guided())
    assert planned().assistant(guided(alpha=0.1)).key == before.key
    assert planned(cutoff_tokens=64).assistant(guided()).key == before.key
    assert planned(threads=2).assistant(guided()).key != before.key
    assert planned().assistant(guided(width=32)).key != before.key
    assert planned().assistant(guided(alpha=1.0)) is None
    assert planned().assistant(TestSetup(BeamRanker(), "test", 5)) is None


def test_lists_depend_on_the_assistant_and_on_its_share(planned):
    tests = [guided(), guided(alpha=0.1), guided(width=32), guided(alpha=1.0)]
    places = [planned().evaluate(ModelState("a", None), "x", t, planned().assistant(t)) for t in tests]
    assert len(set(places)) == 4


def test_unseeded_rows_give_iterations_other_keys_and_the_initial_sft_the_same(planned):
    def keys(rows_seed):
        stages = planned(sizes=RowSampling(64, 16, rows_seed))
        start = ModelState("a", None)
        return [stages.sft(start, iteration, SCHEDULE).key for iteration in (0, 1)] + [key(stages, Random())]

    seeded, one, two = keys(None), keys(1), keys(2)
    assert seeded[0] == one[0] == two[0]
    assert len({seeded[1], one[1], two[1]}) == len({seeded[2], one[2], two[2]}) == 3
    assert keys(1) == one


def test_weighted_sft_depends_on_each_setting_of_its_weighting(planned):
    forms = [None, GenreBalance(), GenreBalance(accumulated=True), GenreBalance(per_batch=True)]
    assert len({planned().sft(ModelState("a", None), 0, SCHEDULE, form).key for form in forms}) == 4


def test_chosen_weights_depend_on_the_validation_rows(planned):
    def keys(schedule):
        stages = [planned(), planned()]
        data = stages[1].context.dataset.sampled(None, 7, None, lambda name: stream(1, name))
        stages[1].context = replace(stages[1].context, dataset=data)
        return {each.sft(ModelState("a", None), 0, schedule).key for each in stages}

    assert len(keys(SCHEDULE)) == 1
    assert len(keys(replace(SCHEDULE, eval_every=500))) == 2


@pytest.fixture
def prompted(make):
    """Return an engine whose model tunes in its own prompts, and what `encode` was asked for."""
    asked = []
    model, reader = make(4), make(4)
    for name, each in (("model", model), ("reader", reader)):
        each.prompt = Prompt(each.prompt.wording, released_templates())

        def heard(history, answers=(), *, step="inference", own=each.encode, name=name):
            asked.append((name, step))
            return own(history, answers, step=step)

        each.encode = heard
    data = toy_dataset().sampled(None, 4, 4, lambda name: stream(0, name))
    trainer = {"accelerator": "cpu", "devices": 1}
    options = {"load_inference_model": lambda: reader}
    return StageContext(data, lambda: model, CharacterNgrams(8), 0, 2048, {}, trainer, **options), asked


def test_earlier_pairs_are_trained_on_too_and_are_part_of_the_key(prompted, tmp_path):
    stages = Stages(prompted[0], Store(tmp_path), RowSampling(8, 4), on_result=lambda *_: None)
    base = ModelState("a", None)
    first, second = (stages.negatives(base, iteration, Random(), Greedy()) for iteration in (1, 2))
    tune = partial(stages.dpo, base, second, 2, replace(SCHEDULE, epochs=1, batch_rows=2))
    alone, both = tune(partial(dpo, beta=0.1)), tune(partial(dpo, beta=0.1), earlier=first)
    assert alone.key != both.key
    steps = [len(pl.read_parquet(each.folder / CURVE)) for each in (alone, both)]
    assert steps == [2, 4]


def test_every_stage_asks_for_its_own_prompt_and_the_copy_does_the_reading(prompted, tmp_path):
    engine, asked = prompted
    stages = RankingStages(engine, Store(tmp_path), RowSampling(8, 4), on_result=lambda *_: None)
    schedule = replace(SCHEDULE, eval_every=9)

    def heard():
        actual = set(asked)
        asked.clear()
        return actual

    state = stages.sft(ModelState("a", None), 0, schedule)
    assert heard() == {("model", "sft")}
    pairs = stages.negatives(state, 1, Beams(wrong_only=True), Greedy())
    assert heard() == {("reader", "inference")}
    stages.dpo(state, pairs, 1, SCHEDULE, partial(dpo, beta=0.1))
    assert heard() == {("model", "dpo")}
    stages.evaluate(state, "x", TestSetup(BeamRanker(width=2), "test", 2))
    assert heard() == {("reader", "inference")}


def test_titles_are_written_once_for_all_rankings_and_grounding_asks_no_model(prompted, tmp_path):
    engine, asked = prompted
    labels = []
    stages = RankingStages(
        engine, Store(tmp_path), RowSampling(8, 4), on_result=lambda label, _, made: labels.append(label)
    )
    state = ModelState("a", None)
    beams, grounded = (
        pl.read_parquet(stages.evaluate(state, "x", TestSetup(ranker, "test", 2)) / PREDICTIONS)
        for ranker in (BeamRanker(width=2), GroundedRanker(engine.embedder))
        if not asked.clear()
    )
    assert asked == []
    assert grounded["written"].to_list() == beams["written"].to_list()
    titles = list(engine.dataset.catalog.titles)
    nearest = ground_titles(grounded["written"].to_list(), engine.embedder, titles, k=2)
    assert grounded["ranked"].to_list() == nearest.tolist()


@dataclass(frozen=True)
class Undeclared(BeamRanker):
    """Says that it needs no model, and asks for one."""

    @property
    def work(self):
        return ModelWork()


def test_a_ranker_that_asks_for_a_model_its_key_does_not_hold_is_refused(prompted, tmp_path):
    stages = RankingStages(prompted[0], Store(tmp_path), RowSampling(8, 4), on_result=lambda *_: None)
    with pytest.raises(AssertionError, match="asks for no model"):
        stages.evaluate(ModelState("a", None), "x", TestSetup(Undeclared(width=2), "test", 2))
    assert not list(tmp_path.glob("evaluate/*"))


@dataclass(frozen=True)
class Forgetful:
    """Asks for something and does not declare it."""

    ask: Callable[[SamplerContext], object]
    count: int = 1
    uses_model = uses_decoding = uses_embeddings = uses_genres = False
    titles_per_prompt = 0

    def __call__(self, examples, context, rng):
        self.ask(context)
        return [["x"] for _ in examples]


@pytest.mark.parametrize(
    ("ask", "what", "where"),
    [
        (lambda context: context.model, "the model", "work"),
        (lambda context: context.trie, "the model", "work"),
        (lambda context: context.vectors, "embeddings", "work"),
        (lambda context: context.embedder.digest(), "embeddings", "work"),
        (lambda context: context.masses, "genres", "uses_genres"),
        (lambda context: list(context.genres), "genres", "uses_genres"),
        (lambda context: context.decoding.is_random, "titles", "work"),
    ],
)
def test_a_sampler_that_asks_for_what_its_key_does_not_hold_is_refused(prompted, tmp_path, ask, what, where):
    stages = Stages(prompted[0], Store(tmp_path), RowSampling(8, 4), on_result=lambda *_: None)
    with pytest.raises(ValueError, match=f"Forgetful asks for {what} and its `{where}` does not say so"):
        stages.negatives(ModelState("a", None), 1, Forgetful(ask), Greedy())
    assert not list(tmp_path.glob("negatives/*"))


def test_four_bit_weights_depend_on_the_library_that_makes_them(planned):
    assert key(planned(base="nf4"), Random()) != key(planned(), Random())
    stages, made = planned(base="nf4"), []
    stages.run = lambda label, stage, work: made.append(stage)
    stages.sft(ModelState("a", None), 0, SCHEDULE)
    assert "bitsandbytes" in made[0].versions


def test_a_baselines_name_seeds_it_and_so_is_part_of_its_key(planned):
    test = TestSetup(BeamRanker(), "test", 5)
    names = ("sasrec", "sasrec", "sasrec, again")
    assert len({planned().baseline(name, MostPopular(), {}, test) for name in names}) == 2


def test_what_is_trained_on_item_ids_depends_on_all_validation_rows(planned):
    def keys(rows):
        stages = planned()
        whole = stages.context.dataset
        parts = replace(whole.split, valid=whole.split.valid.take(rows))
        data = replace(whole, split=parts).sampled(None, 1, 7, lambda name: stream(1, name))
        data = replace(data, split=replace(data.split, valid=whole.split.valid.take([0])))
        stages.context = replace(stages.context, dataset=data)
        test = TestSetup(BeamRanker(), "test", 5)
        return stages.assistant(guided()).key, stages.baseline("sasrec", MostPopular(), {}, test)

    one, two, again = keys([0, 1, 2]), keys([0, 1, 3]), keys([0, 1, 2])
    assert one == again
    assert (one[0] != two[0], one[1] != two[1]) == (True, True)


def without_genres(stages, *, catalog):
    """Return the stages with a dataset that selects no genre; `catalog` says whether its items have any."""
    data = stages.context.dataset
    titles = data.catalog.titles
    items = data.catalog if catalog else Catalog(titles, ((),) * len(titles))
    stages.context = replace(stages.context, dataset=replace(data, genres=(), catalog=items))
    return stages


@pytest.mark.parametrize(
    ("weighting", "sampler", "message"),
    [
        (GenreBalance(), None, "method.weighting = GenreBalance weighs rows by genre, and toy has no genre"),
        (
            None,
            Exposure("high", "out"),
            "negatives = Exposure exposure=high cluster=out go by genre, and toy",
        ),
        (None, Mixture({"in": Exposure("low", "in")}, {"in": 1}), "negatives = Mixture go by genre"),
    ],
    ids=["weights", "cluster", "mixture"],
)
def test_an_arm_that_goes_by_genres_is_refused_without_them_before_any_training(
    planned, weighting, sampler, message
):
    """Weights would all be 1, as SFT's, and every item outside of a cluster of none."""
    values = dict.fromkeys(field.name for field in fields(SelfPlayAlgorithm)) | {
        **{"iterations": 1, "with_sft": False, "with_dpo": sampler is not None},
        **{"weighting": weighting, "negatives": sampler, "decoding": Greedy(), "initial": SCHEDULE},
    }
    stages, base = without_genres(planned(), catalog=False), ModelState("a", None)
    arm = SelfPlayAlgorithm(**values)
    with pytest.raises(ValueError, match=f"{message}.*; read them .*, or choose another") as caught:
        next(arm.train_and_rank(stages, base, guided()))
    assert "\n" not in str(caught.value)
    assert stages.planned == []
    with pytest.raises(ValueError, match=r"; name some of toy's in dataset\.genres, or choose another"):
        next(arm.train_and_rank(without_genres(planned(), catalog=True), base, guided()))
    assert next(arm.train_and_rank(planned(), base, guided()))[0] == "initial_sft"


def test_more_rejected_titles_than_there_are_is_refused(planned):
    stages = planned()
    items = len(stages.context.dataset.catalog)
    stages.require_items(Random(items - 1))
    with pytest.raises(
        ValueError, match=f"negatives.count = {items} of a catalogue of {items} items; use at"
    ):
        stages.require_items(Random(items))


def test_weights_of_all_genres_need_no_selected_one(planned):
    without_genres(planned(), catalog=True).require_genres(GenreBalance(all_genres=True), None)
    with pytest.raises(ValueError, match="GenreBalance weighs rows by genre"):
        without_genres(planned(), catalog=False).require_genres(GenreBalance(all_genres=True), None)
    without_genres(planned(), catalog=False).require_genres(None, Exposure("low"))
