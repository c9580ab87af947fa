"""Stage keys: what a stage depends on, and nothing else."""

from functools import partial

import pytest

from sprec.data.readers.toy import toy_dataset
from sprec.llm.decoding import Greedy, Sampled
from sprec.llm.grounding import CharacterNgrams
from sprec.runtime.store import Store
from sprec.training.negatives import Beams, Exposure, Grounded, Popular, Random, SelfPlay, Semantic
from sprec.training.objectives import dmpo, dpo, sdpo
from sprec.training.stages import Engine, Sizes, Stages, State
from sprec.training.tuner import Schedule

SCHEDULE = Schedule(1, 8, 1e-4, 1, 1.0, 2048)
PAIRS = State("pairs", None)


def never():
    raise AssertionError("planning loads no model")


@pytest.fixture
def planned(tmp_path):
    """Return a maker of plans whose titles are embedded in so many dimensions."""
    data = toy_dataset()

    def build(size=8):
        engine = Engine(data, data.digest, never, CharacterNgrams(size), 0, 2048, {}, {})
        return Stages(engine, Store(tmp_path), Sizes(64, 16), done=lambda *_: None, plan=True)

    return build


def key(stages, sampler, decoding=None, *, model="a", **settings):
    return stages.negatives(State(model, None), 1, sampler, decoding or Greedy(), **settings).key


@pytest.mark.parametrize(
    ("sampler", "model", "decoding", "embedder"),
    [
        (Random(), False, False, False),
        (Popular(), False, False, False),
        (Semantic(similar=True), False, False, True),
        (Beams(), True, False, False),
        (Exposure("low"), True, False, False),
        (SelfPlay(), True, True, False),
        (Grounded(), True, True, True),
    ],
    ids=lambda each: type(each).__name__,
)
def test_pairs_depend_on_exactly_what_their_sampler_uses(planned, sampler, model, decoding, embedder):
    before = key(planned(), sampler)
    assert key(planned(), sampler) == before
    assert (key(planned(), sampler, model="b") != before) is model
    assert (key(planned(), sampler, Sampled()) != before) is decoding
    assert (key(planned(9), sampler) != before) is embedder


def test_pairs_depend_on_the_samplers_settings_and_on_what_is_kept(planned):
    keys = {key(planned(), each) for each in (Random(), Random(2), Popular(), Popular(exponent=0.5))}
    assert len({*keys, key(planned(), Random(), keep_equal=True)}) == 5


def test_tuned_weights_depend_on_the_objective_and_each_of_its_settings(planned):
    forms = [partial(dpo, beta=0.1), partial(dpo, beta=1.0), partial(sdpo, beta=0.1), partial(dmpo, beta=0.1)]
    forms += [partial(dmpo, beta=0.1, averaged=False)]
    keys = [planned().dpo(State("a", None), PAIRS, 1, SCHEDULE, each).key for each in forms]
    assert len(set(keys)) == 5
    assert planned().dpo(State("a", None), PAIRS, 1, SCHEDULE, partial(dpo, beta=0.1)).key == keys[0]
