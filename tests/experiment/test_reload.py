"""The settings of a recorded run, for whatever machine asks it later."""

from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.data.examples import Example
from sprec.data.prompts import AnswerEnds, Prompt, PromptTemplates
from sprec.data.readers.toy import toy_dataset
from sprec.experiment.config import validate_settings
from sprec.experiment.reload import ReloadedRun, _recorded_settings
from sprec.generation.decoding import search_titles
from sprec.generation.rankers import BeamRanker
from sprec.generation.title_trie import TitleTrie
from sprec.llm.tokenization import PromptTokenizer
from sprec.run import CONF


@pytest.fixture
def recorded():
    def make(*words, **changes):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = OmegaConf.to_container(compose("config", overrides=list(words)), resolve=True)
        settings = validate_settings({name: value for name, value in config.items() if name != "hydra"})
        precision = changes.pop("precision", "float32")
        return SimpleNamespace(
            config=settings.model_dump() | changes, precision=precision, commit="c", command="x"
        )

    return make


def test_a_run_with_rows_of_its_own_draw_has_these_rows(recorded):
    settings = _recorded_settings(recorded("rows_seed=entropy", rows_seed_drawn=7))
    assert settings.rows_seed == 7


def test_a_run_of_a_larger_machine_is_asked_on_one_device(recorded):
    run = recorded("trainer=fsdp", "trainer.devices=4", "base_llm.quantise=nf4", precision="bf16 on nf4")
    settings = _recorded_settings(run)
    assert (settings.trainer.world_size, settings.trainer.shard) == (1, False)
    assert (settings.trainer.precision, settings.base_llm.quantise) == ("bf16", "auto")


@pytest.fixture
def asked():
    """Return a run of two beams that scored lists of some lengths, to ask models of."""

    def make_run(*cutoffs):
        record = SimpleNamespace(config={"cutoffs": list(cutoffs)}, stages=())
        context = SimpleNamespace(dataset=toy_dataset(), eval_batch_tokens=4000)
        return ReloadedRun(record, SimpleNamespace(ranker=BeamRanker(width=2)), context)

    return make_run


def rank(run, model, titles, k):
    return run._rank("x", model, Example(tuple(range(titles)), -1), k).items


def test_every_title_has_the_end_that_the_search_ranks_it_by(make, catalog, asked):
    """With a line break after rejected titles alone, places 2 to k had a line break more than place 1."""
    model = make()
    templates = PromptTemplates(answer_end=AnswerEnds(rejected="line_break"))
    model.prompt = Prompt(toy_dataset().wording, templates, catalog.titles)
    model.tokens = PromptTokenizer(model.tokenizer, model.prompt, cutoff_tokens=512)
    trie = TitleTrie.of([model.encode_answer(title) for title in catalog.titles])
    prompt = model.encode(catalog.titles[:3]).prompt
    ids, scores = search_titles(model, [prompt], trie, k=4, batch_tokens=4000)
    items = rank(asked(4), model, 3, 4)
    assert [title for title, _ in items] == [catalog.titles[i] for i in ids[0]]
    assert [score for _, score in items] == pytest.approx(scores[0].tolist(), abs=1e-4)


def test_short_lists_begin_those_that_the_run_scored(make, asked):
    """Lists of 20 made the search 20 beams wide; two beams rank other titles for some histories."""
    model, differ = make(), 0
    for titles in range(1, 11):
        whole = rank(asked(1, 20), model, titles, 20)
        short = rank(asked(1, 20), model, titles, 2)
        narrow = rank(asked(1), model, titles, 2)
        assert [title for title, _ in short] == [title for title, _ in whole[:2]]
        differ += [title for title, _ in narrow] != [title for title, _ in whole[:2]]
    assert differ > 0


def test_titles_that_the_prompt_has_no_room_for_are_said_once(make, catalog, asked):
    longest = len(make().encode(catalog.titles[:6]).prompt)
    cutoff = longest - 4
    model, run = make(cutoff_tokens=cutoff), asked(2)
    rank(run, model, 3, 2)
    assert run.warnings == []
    for _ in range(2):
        rank(run, model, 6, 2)
    line = f"the prompt of 6 titles is longer than base_llm.cutoff_tokens={cutoff}; "
    assert run.warnings == [line + "its oldest titles are not read"]
