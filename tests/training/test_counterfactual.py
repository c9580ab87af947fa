"""CFT against what it says, written out with plain sequences and whole tables of logits."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from sprec.llm.token_rows import TokenRow, with_loss_on
from sprec.training.counterfactual import Counterfactual, linear_weights

CFT = Counterfactual(effect_weight=0.1, last_token_weight=0.25)


def rows_of(model, catalog):
    titles = catalog.titles
    return [model.encode(titles[i : i + 2 + i % 3], [titles[20 + i]]) for i in range(4)]


def logits(model, prompt, answer):
    whole = model.base_model(torch.tensor([[*prompt, *answer]])).logits[0]
    return whole[len(prompt) - 1 : -1]


def slow(model, row, *, effect, last):
    """Return CFT's loss of one row: two sequences, two tables of logits, two cross-entropies."""
    answer = row.answers[0]
    labels, count = torch.tensor(answer), len(answer)
    with_history = logits(model, row.prompt, answer)
    without = logits(model, model.encode(()).prompt, answer)
    weights = torch.tensor([1 - (1 - last) * place / max(count - 1, 1) for place in range(count)])
    plain = cross_entropy(with_history, labels, reduction="none")
    caused = cross_entropy(with_history - without, labels, reduction="none")
    return (weights * (plain + effect * caused)).sum()


def gradient(model, loss):
    model.network.zero_grad()
    loss.backward()
    return torch.cat([w.grad.flatten() for w in model.network.parameters() if w.requires_grad])


def blanks(model, rows):
    return [TokenRow(model.encode(()).prompt, row.answers) for row in rows]


@pytest.fixture(params=[0, 4], ids=["all weights", "adapters"])
def model(make, request):
    actual = make(request.param)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in actual.tuned_weights().values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=draws))
    return actual


@pytest.mark.parametrize("last", [0.25, 1.0])
@pytest.mark.parametrize("effect", [0.0, 0.1, 2.0])
def test_scores_equal_two_cross_entropies_over_whole_tables(model, catalog, effect, last):
    rows = rows_of(model, catalog)
    actual = Counterfactual(effect, last).scorer(model, rows, blanks(model, rows))([2, 0, 3])
    expected = [slow(model, rows[i], effect=effect, last=last) for i in (2, 0, 3)]
    torch.testing.assert_close(-actual[:, 0], torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_gradients_go_through_both_passes(model, catalog):
    rows = rows_of(model, catalog)
    strong = Counterfactual(2.0, 0.25)
    actual = gradient(model, -strong.scorer(model, rows, blanks(model, rows))(range(4)).sum())
    expected = gradient(model, sum(slow(model, row, effect=2.0, last=0.25) for row in rows))
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
    plain = gradient(model, sum(slow(model, row, effect=0.0, last=0.25) for row in rows))
    assert (actual - plain).abs().max() > 0.01


def test_without_effect_and_with_even_weights_it_is_sft(model, catalog):
    rows = rows_of(model, catalog)
    actual = Counterfactual(0.0, 1.0).scorer(model, rows, blanks(model, rows))(range(4))
    torch.testing.assert_close(actual, model.log_probs(rows), atol=1e-5, rtol=1e-5)


def test_history_that_a_row_learns_too_counts_once_and_in_full(model, catalog):
    rows = rows_of(model, catalog)
    learned = with_loss_on(rows, "history")
    actual = CFT.scorer(model, learned, blanks(model, rows))(range(4))[:, 0]
    first = [len(whole.answers[0]) - len(row.answers[0]) for whole, row in zip(learned, rows, strict=True)]
    history = [
        TokenRow(whole.prompt, (whole.answers[0][:count],))
        for whole, count in zip(learned, first, strict=True)
    ]
    alone = torch.stack([model.log_probs([row])[0, 0] for row in history])
    titles = torch.stack([slow(model, row, effect=0.1, last=0.25) for row in rows])
    torch.testing.assert_close(actual, alone - titles, atol=1e-3, rtol=1e-5)


def test_history_that_changes_nothing_leaves_the_chance_of_any_token(make, catalog):
    model = make()
    blank = model.encode((), [catalog.titles[3]])
    score = Counterfactual(1.0, 1.0)(model, [(blank, blank)]) - model.log_probs([blank])
    chance = -torch.log(torch.tensor(float(model.base_model.config.vocab_size)))
    torch.testing.assert_close(score[0, 0], len(blank.answers[0]) * chance, atol=1e-3, rtol=1e-5)


def test_weights_fall_linearly_from_one():
    assert linear_weights(4, 0.25).tolist() == [1.0, 0.75, 0.5, 0.25]
    assert linear_weights(2, 0.25).tolist() == [1.0, 0.25]
    assert linear_weights(1, 0.25).tolist() == [1.0]
