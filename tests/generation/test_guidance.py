import numpy as np
import pytest
import torch

from sprec.generation.decoding import search_titles
from sprec.generation.guidance import Guidance, PromptGuidance
from sprec.generation.title_trie import TitleTrie

HISTORIES = [(0, 1, 2), (3, 4), (5, 6, 7, 8)]


def prompts_of(model, catalog):
    return [model.encode([catalog.titles[i] for i in history]).prompt for history in HISTORIES]


def probabilities(items, seed=0, spread=3.0):
    scores = np.random.default_rng(seed).normal(size=(len(HISTORIES), items)) * spread
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def exhaustive(model, catalog, titles):
    """Return the log-probability of every title by itself, without a search."""
    rows = [model.encode([catalog.titles[i] for i in history], titles) for history in HISTORIES]
    with torch.no_grad():
        return model.log_probs(rows).double().numpy()


def test_masses_of_prefixes_are_those_of_the_items_that_share_them():
    trie = TitleTrie.of([(1, 2), (1, 3, 4), (5,), (1, 3, 6)])
    masses = trie.sum_by_node(np.array([[0.1, 0.2, 0.3, 0.4]]))[0]
    first = trie.children[0][1]
    assert masses[0] == pytest.approx(1.0)
    assert masses[first] == pytest.approx(0.7)
    assert masses[trie.children[first][3]] == pytest.approx(0.6)
    assert {item: masses[leaf] for leaf, item in trie.items.items()} == pytest.approx(
        {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}
    )


def test_step_by_hand():
    guide = PromptGuidance(0.25, np.log([1.0, 0.5, 0.1]))
    step = guide.score_tokens(np.array([-2.0]), 1, [2])
    assert step.item() == pytest.approx(0.25 * -2.0 + 0.75 * np.log(0.1 / 0.5))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8])
def test_beams_as_wide_as_the_catalogue_rank_it_by_both_recommenders(make, catalog, alpha):
    model, titles = make(), catalog.titles[:15]
    trie, asked = TitleTrie.of([model.encode_answer(title) for title in titles]), probabilities(15)
    prompts = prompts_of(model, catalog)
    ids, scores = search_titles(
        model, prompts, trie, k=15, batch_tokens=10_000, guidance=Guidance(asked, alpha=alpha)
    )
    expected = alpha * exhaustive(model, catalog, titles) + (1 - alpha) * np.log(asked)
    np.testing.assert_array_equal(ids, np.argsort(-expected, axis=1))
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1), atol=1e-4)


def test_alpha_one_is_the_plain_search_to_the_last_bit(make, catalog):
    model = make()
    trie = TitleTrie.of([model.encode_answer(title) for title in catalog.titles])
    prompts, asked = prompts_of(model, catalog), probabilities(len(catalog), spread=400.0)
    assert (asked == 0).any()
    plain = search_titles(model, prompts, trie, k=4, batch_tokens=500)
    guided = search_titles(model, prompts, trie, k=4, batch_tokens=500, guidance=Guidance(asked, alpha=1.0))
    for one, other in zip(plain, guided, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_prompt_is_guided_by_its_own_row_however_rows_are_batched(make, catalog):
    model = make()
    trie = TitleTrie.of([model.encode_answer(title) for title in catalog.titles])
    asked = np.full((len(HISTORIES), len(catalog)), 1e-9)
    asked[[0, 1, 2], [11, 7, 2]] = 1.0
    for tokens in (1, 100_000):
        guidance = Guidance(asked, alpha=0.1)
        ids, _ = search_titles(
            model, prompts_of(model, catalog), trie, k=2, batch_tokens=tokens, guidance=guidance
        )
        assert ids[:, 0].tolist() == [11, 7, 2]
