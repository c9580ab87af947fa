import itertools

import numpy as np
import pytest
import torch

from sprec.generation.decoding import Greedy, Sampled, search_titles, write_titles
from sprec.generation.title_trie import TitleTrie
from sprec.llm.engines.fast import packed_engine
from sprec.llm.engines.fast.shared_prompt_batch import collate


def prompts_of(model, catalog):
    return [model.encode(catalog.titles[i : i + 2 + i % 3]).prompt for i in range(5)]


def slow_greedy(model, prompt, max_tokens):
    written = []
    for _ in range(max_tokens):
        token = int(model.base_model(torch.tensor([[*prompt, *written]])).logits[0, -1].argmax())
        written.append(token)
        if token in model.tokens.stop_tokens(len(model.tokenizer)):
            break
    return model.tokens.read_titles([written])[0]


def test_greedy_titles_equal_those_of_a_plain_loop_without_cache(make, catalog):
    model = make()
    prompts = prompts_of(model, catalog)
    found = write_titles(model, prompts, Greedy(), np.random.default_rng(0), max_tokens=6, batch_tokens=300)
    assert found == [slow_greedy(model, prompt, 6) for prompt in prompts]


def test_prompt_asked_several_times_is_read_once_and_answered_each_time(make, catalog, monkeypatch):
    model, seen, read = make(), [], []

    class Watched(Greedy):
        def pick_tokens(self, logits, uniforms):
            seen.append(logits)
            return super().pick_tokens(logits, uniforms)

    first, second, third = prompts_of(model, catalog)[:3]
    asked = [first, second, first, third, second]
    monkeypatch.setattr(
        packed_engine, "collate", lambda rows: read.extend(row.prompt for row in rows) or collate(rows)
    )
    found = write_titles(model, asked, Watched(), np.random.default_rng(0), max_tokens=6, batch_tokens=10_000)
    assert found == [slow_greedy(model, prompt, 6) for prompt in asked]
    assert sorted(read) == sorted([first, second, third])
    longest_first = sorted(asked, key=len, reverse=True)
    with torch.no_grad():
        expected = [model.base_model(torch.tensor([prompt])).logits[0, -1] for prompt in longest_first]
    torch.testing.assert_close(seen[0], torch.stack(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("decoding", [Greedy(), Sampled()])
def test_titles_do_not_depend_on_how_rows_are_batched(make, catalog, decoding):
    model = make()
    prompts = prompts_of(model, catalog)
    few, many = (
        write_titles(model, prompts, decoding, np.random.default_rng(3), max_tokens=6, batch_tokens=tokens)
        for tokens in (1, 10_000)
    )
    assert few == many


def test_beams_as_wide_as_the_catalogue_rank_it_by_exact_probability(make, catalog):
    model = make()
    prompt = model.encode(catalog.titles[:3]).prompt
    titles = catalog.titles[:12]
    trie = TitleTrie.of([model.encode_answer(title) for title in titles])
    ids, scores = search_titles(model, [prompt], trie, k=12, batch_tokens=10_000)
    with torch.no_grad():
        exact = model.log_probs([model.encode(catalog.titles[:3], titles)])[0].numpy()
    assert ids[0].tolist() == np.argsort(-exact).tolist()
    np.testing.assert_allclose(scores[0], np.sort(exact)[::-1], atol=1e-4)


def test_beams_hold_distinct_items_of_the_catalogue(make, catalog):
    model = make()
    trie = TitleTrie.of([model.encode_answer(title) for title in catalog.titles])
    ids, scores = search_titles(model, prompts_of(model, catalog), trie, k=5, batch_tokens=500)
    assert all(len(set(row)) == 5 and min(row) >= 0 for row in ids.tolist())
    assert all(a >= b for row in scores for a, b in itertools.pairwise(row))


def test_prompt_over_the_cutoff_loses_its_oldest_titles(make, catalog):
    whole = make().encode(catalog.titles[:10])
    model = make(cutoff_tokens=len(whole.prompt) - 5)
    assert len(model.encode(catalog.titles[:10]).prompt) < len(whole.prompt)
    assert model.tokens.truncated_prompts == 1


def test_tuned_weights_come_back_from_safetensors(make, tmp_path):
    model = make(4)
    before = {name: value.clone() for name, value in model.tuned_weights().items()}
    with torch.no_grad():
        for value in model.tuned_weights().values():
            value.add_(1.0)
    model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.safetensors"]
    for name, value in model.load(None).tuned_weights().items():
        assert torch.equal(value, before[name])
    for name, value in model.load(tmp_path).tuned_weights().items():
        assert torch.equal(value, before[name] + 1.0)


def test_a_model_whose_logits_are_no_numbers_writes_and_ranks_nothing(make, catalog):
    model = make()
    prompts = [model.encode(catalog.titles[:3]).prompt]
    with torch.no_grad():
        next(iter(model.tuned_weights().values())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        write_titles(model, prompts, Greedy(), np.random.default_rng(0), batch_tokens=100)
    trie = TitleTrie.of([model.encode_answer(title) for title in catalog.titles])
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        search_titles(model, prompts, trie, k=2, batch_tokens=100)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature):
    """At 0 all sampled titles would be one token that is never the model's."""
    with pytest.raises(ValueError, match=r"decoding\.temperature = .*; take one above 0, or decoding=greedy"):
        Sampled(temperature)


@pytest.mark.parametrize(
    ("temperature", "uniforms", "tokens"),
    [
        (1.0, (0.0, 0.49, 0.51, 0.79, 0.81), [0, 0, 1, 1, 2]),
        (0.5, (0.6, 0.7, 0.9), [0, 1, 2]),  # .5², .3², .2² of .38: .658, .237, .105
        (2.0, (0.4, 0.49, 0.75), [0, 1, 2]),  # their roots: .415, .322, .263
    ],
)
def test_sampling_follows_the_distribution_at_its_temperature(temperature, uniforms, tokens):
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).expand(len(uniforms), 3)
    picked = Sampled(temperature).pick_tokens(logits, torch.tensor(uniforms, dtype=torch.float64))
    assert picked.tolist() == tokens


def test_each_token_of_a_title_has_a_random_number_of_its_own(make, catalog):
    used = []

    class Watched(Sampled):
        def pick_tokens(self, logits, uniforms):
            used.append(float(uniforms[0]))
            return super().pick_tokens(logits, uniforms)

    options = {"max_tokens": 6, "batch_tokens": 300}
    write_titles(make(), prompts_of(make(), catalog)[:1], Watched(), np.random.default_rng(3), **options)
    expected = np.random.default_rng(3).random((1, 6))[0]
    assert len(used) > 1
    np.testing.assert_allclose(used, expected[: len(used)])
