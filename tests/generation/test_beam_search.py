import numpy as np
import pytest
import torch

from sprec.data.examples import Example
from sprec.generation.decoding import search_titles
from sprec.generation.rankers import BeamRanker, RankingTask
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


@pytest.mark.parametrize("k", [1, 3])
def test_a_search_without_some_items_is_that_of_a_catalogue_without_them(make, catalog, k):
    """Each prompt has items of its own to leave out, from none to all but two."""
    model = make()
    prompts = prompts_of(model, catalog)[:3]
    paths = [model.encode_answer(title) for title in catalog.titles]
    excluded = [(), (3, 7, 7, 20), tuple(range(2, len(paths)))]
    ids, scores = search_titles(
        model, prompts, TitleTrie.of(paths), k=k, batch_tokens=10_000, excluded=excluded
    )
    for row, (prompt, items) in enumerate(zip(prompts, excluded, strict=True)):
        others = [item for item in range(len(paths)) if item not in items]
        trie = TitleTrie.of([paths[item] for item in others])
        alone, expected = search_titles(model, [prompt], trie, k=k, batch_tokens=10_000)
        assert ids[row].tolist() == [others[item] if item >= 0 else -1 for item in alone[0]]
        np.testing.assert_allclose(scores[row], expected[0], atol=1e-4)
    assert (ids[2] >= 0).sum() == min(k, 2)


def test_nodes_of_excluded_items_are_closed_up_to_where_another_way_goes_on():
    """Two titles of the same tokens are one item, the first; the second can never be written."""
    trie = TitleTrie.of([(1, 2, 3), (1, 2, 4), (1, 2, 3), (5, 6)])
    assert trie.nodes_without([]) == frozenset()
    assert trie.nodes_without([2]) == frozenset()
    assert trie.nodes_without([0]) == {3}
    assert trie.nodes_without([0, 1]) == {1, 2, 3, 4}
    assert trie.nodes_without([0, 1, 3]) == {0, 1, 2, 3, 4, 5, 6}


def rank_without_histories(model, catalog, width, examples, k=2):
    ranker = BeamRanker(width=width, exclude_history=True)
    return ranker(RankingTask(catalog, examples, [], lambda: model, 10_000), k=k).tolist()


def test_a_users_list_does_not_depend_on_how_long_others_histories_are(make, catalog):
    """The width was that of the longest history beside the user's, and a wider search finds other items."""
    model = make()
    users = [Example(tuple(range(start, start + 3)), -1) for start in range(0, 40, 2)]
    reader = Example(tuple(range(40)), -1)
    beside = rank_without_histories(model, catalog, 2, [*users, reader])[:-1]
    assert beside == rank_without_histories(model, catalog, 2, users)
    assert all(
        not set(ids) & set(user.history) and -1 not in ids for ids, user in zip(beside, users, strict=True)
    )


def test_lists_longer_than_the_width_widen_the_search_and_say_so(make, catalog, caplog):
    model, user = make(), Example((0, 1), -1)
    task = RankingTask(catalog, [user], [], lambda: model, 10_000)
    with caplog.at_level("INFO", logger="sprec.generation.rankers"):
        assert len(set(BeamRanker(width=2)(task, k=2)[0])) == 2
        assert not caplog.records
        assert len(set(BeamRanker(width=2)(task, k=4)[0])) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "beam search: 4 beams, as lists are longer than ranking.width=2"
    ]
