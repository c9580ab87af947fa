"""Which rows an iteration has, and the prompt that they get."""

import pytest

from sprec.data.examples import Example, Examples
from sprec.data.prompts import Prompt, released_templates
from sprec.llm.tokenization import PromptTokenizer
from sprec.training.row_sampling import RowSampling, encode_rows, with_targets

TRAIN = Examples.from_rows([Example((i,), i + 1) for i in range(50)])


def targets(sizes, iteration, seed=0):
    return [row.target for row in sizes.sample_rows(TRAIN, iteration, seed=seed)]


def test_rows_are_drawn_anew_in_each_iteration_and_the_same_in_each_run():
    sizes = RowSampling(20, 10)
    assert targets(sizes, 1) == targets(sizes, 1)
    assert targets(sizes, 1) != targets(sizes, 2)
    assert targets(sizes, 1) != targets(sizes, 1, seed=1)
    assert (len(set(targets(sizes, 0))), len(set(targets(sizes, 1)))) == (20, 10)
    assert (
        targets(RowSampling(None, 99), 0)
        == targets(RowSampling(None, 99), 1)
        == [row.target for row in TRAIN]
    )


def test_a_seed_of_their_own_draws_the_iterations_but_not_the_initial_sft():
    plain, own = RowSampling(20, 10), RowSampling(20, 10, rows_seed=7)
    assert targets(own, 0) == targets(plain, 0)
    assert own.describe(0) == plain.describe(0) == {"rows": 20, "draw": 0}
    assert targets(own, 1) != targets(plain, 1)
    assert targets(own, 1, seed=0) == targets(own, 1, seed=1)
    assert own.describe(1) == {"rows": 10, "draw": 1, "rows_seed": 7}
    assert plain.describe(1) == {"rows": 10, "draw": 1}


@pytest.mark.parametrize("step", ["sft", "dpo", "inference"])
def test_each_step_tunes_on_its_own_prompt(make, catalog, step):
    model = make()
    prompt = Prompt(model.prompt.wording, released_templates())
    model.tokens = PromptTokenizer(model.tokenizer, prompt, cutoff_tokens=512)
    rows = encode_rows(model, catalog, [((3, 4), (5, "No such film"))], step=step, loss_on="title")
    decode = model.tokenizer.decode
    expected = prompt.text([catalog.titles[3], catalog.titles[4]], step)
    assert decode(rows[0].prompt[1:]) == expected
    assert [decode(answer) for answer in rows[0].answers] == [f'{catalog.titles[5]}"', 'No such film"']


def test_positives_have_the_target_as_their_answer():
    assert with_targets(TRAIN)[3] == ((3,), [4])
