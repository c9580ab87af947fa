import numpy as np
import pytest
import torch

from sprec.generation.decoding import search_titles
from sprec.generation.title_trie import TitleTrie


def prompts_of(model, catalog):
    return [model.encode(catalog.titles[i : i + 2 + i % 3]).prompt for i in range(5)]


def plain_search(model, prompt, trie, k):
    """Beam search token by token, every beam read anew from its first token."""
    found, going = [], [(0.0, (), 0)]
    while going:
        grown = []
        for value, path, node in going:
            with torch.no_grad():
                table = model.base_model(torch.tensor([[*prompt, *path]])).logits[0, -1].log_softmax(-1)
            grown += [(value + float(table[t]), (*path, t), n) for t, n in trie.children[node].items()]
        grown = sorted(grown, key=lambda beam: (-beam[0], beam[2]))[:k]
        found += [(value, trie.items[node]) for value, _, node in grown if node in trie.items]
        found = sorted(found, key=lambda pair: (-pair[0], pair[1]))[:k]
        floor = found[-1][0] if len(found) == k else -np.inf
        going = [beam for beam in grown if beam[2] not in trie.items and beam[0] > floor]
    return found


@pytest.mark.parametrize(("k", "batch_tokens"), [(1, 10_000), (3, 1), (8, 10_000)])
def test_beams_are_those_of_a_plain_search_without_cache(make, catalog, k, batch_tokens):
    model = make()
    trie = TitleTrie.of([model.encode_answer(title) for title in catalog.titles])
    prompts = prompts_of(model, catalog)[:3]
    ids, scores = search_titles(model, prompts, trie, k=k, batch_tokens=batch_tokens)
    expected = [plain_search(model, prompt, trie, k) for prompt in prompts]
    assert ids.tolist() == [[item for _, item in found] for found in expected]
    np.testing.assert_allclose(scores, [[value for value, _ in found] for found in expected], atol=1e-4)


def test_passes_end_where_the_catalogue_leaves_no_choice(make, catalog):
    model = make()
    paths = [(1, 10, *range(20, 40)), (2, 11, *range(20, 40)), (2, 12, *range(20, 40))]
    passes = []
    hook = model.base_model.model.layers[0].register_forward_pre_hook(lambda *_: passes.append(1))
    ids, _ = search_titles(
        model, prompts_of(model, catalog)[:1], TitleTrie.of(paths), k=3, batch_tokens=10_000
    )
    hook.remove()
    assert sorted(ids[0].tolist()) == [0, 1, 2]
    # the prompt; after the first token one title is settled and two are open; after the second all are
    assert len(passes) == 4


def test_a_title_that_begins_another_is_an_item_of_its_own(make, catalog):
    model = make()
    trie = TitleTrie.of([(5, 6), (5, 7, 8), (9,)])
    assert trie.forced_tail(0) == ()
    ids, scores = search_titles(model, prompts_of(model, catalog)[:2], trie, k=5, batch_tokens=10_000)
    assert all(sorted(row) == [-1, -1, 0, 1, 2] for row in ids.tolist())
    assert np.isneginf(scores[ids < 0]).all()
