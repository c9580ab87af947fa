import numpy as np
import pytest
import torch

from sprec.generation.decoding import Greedy, search_titles, write_titles
from sprec.generation.title_trie import TitleTrie
from sprec.llm.engines.plain import PlainEngine
from sprec.llm.token_rows import PredictedTokens
from tests.llm.architectures import gradient, reference_log_prob, reference_title


def rows_of(model, catalog):
    return [model.encode(catalog.titles[i : i + 2 + i], catalog.titles[20 + i : 22 + i]) for i in range(3)]


@pytest.fixture(params=["fast", "plain", "plain, no cache"])
def model(make, request):
    """A model whose adapters change what it says, under each engine."""
    name, _, uncached = request.param.partition(",")
    tuned = make(4, engine=name)
    if uncached:
        tuned.engine = PlainEngine(tuned.base_model, cached=False)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in tuned.tuned_weights().values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=draws))
    return tuned


def expected_log_probs(model, rows):
    return torch.stack(
        [torch.stack([reference_log_prob(model, row.prompt, a) for a in row.answers]) for row in rows]
    )


def test_log_probs_and_gradients_are_those_of_single_rows(model, catalog):
    rows = rows_of(model, catalog)
    expected = expected_log_probs(model, rows)
    slope, scores = gradient(model, expected), model.log_probs(rows)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(gradient(model, scores), slope, atol=1e-4, rtol=1e-4)


def test_logits_and_hidden_states_are_those_of_single_rows(model, catalog):
    row = rows_of(model, catalog)[1]
    tokens = torch.tensor([[*row.prompt, *row.answers[1][:-1]]])
    start, end = len(row.answers[0]), len(row.prompt) - 1
    with torch.no_grad():
        logits = model.token_logits([row])[start:]
        torch.testing.assert_close(logits, model.base_model(tokens).logits[0, end:], atol=1e-4, rtol=1e-4)
        hidden = model.base_model.model(tokens).last_hidden_state[0, end:]
        torch.testing.assert_close(model.hidden_states([row])[start:], hidden, atol=1e-4, rtol=1e-4)
    assert PredictedTokens.of([row], model.device).labels.tolist() == [*row.answers[0], *row.answers[1]]


def test_titles_are_those_of_a_loop_without_cache(model, catalog):
    prompts = [row.prompt for row in rows_of(model, catalog)]
    prompts = [*prompts, prompts[0]]
    titles = write_titles(
        model, prompts, Greedy(), np.random.default_rng(0), max_tokens=6, batch_tokens=9_000
    )
    with torch.no_grad():
        assert titles == [reference_title(model, prompt) for prompt in prompts]


def test_beams_have_the_scores_of_whole_titles(model, catalog):
    prompts, titles = [row.prompt for row in rows_of(model, catalog)], catalog.titles[:4]
    answers = [model.encode_answer(title) for title in titles]
    ids, scores = search_titles(model, prompts, TitleTrie.of(answers), k=4, batch_tokens=9_000)
    with torch.no_grad():
        for prompt, order, values in zip(prompts, ids, scores, strict=True):
            exact = np.array([float(reference_log_prob(model, prompt, answer)) for answer in answers])
            np.testing.assert_allclose(values, exact[order], atol=1e-4)
            assert order.tolist() == np.argsort(-exact).tolist()
