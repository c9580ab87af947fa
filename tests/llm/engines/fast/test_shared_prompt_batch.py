import pytest
import torch

from sprec.llm.engines.fast.shared_prompt_batch import collate
from sprec.llm.token_rows import PredictedTokens, TokenRow, with_loss_on


def alone(model, prompt, answer):
    """Return the log-probability of one answer from one unpadded, unshared sequence."""
    tokens = torch.tensor([[*prompt, *answer]])
    logits = model.base_model(tokens).logits[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    return sum(logits[place, token] for place, token in zip(places, answer, strict=True))


def rows_of(model, catalog, answers):
    return [
        model.encode(catalog.titles[i : i + 2 + i % 3], catalog.titles[20 + i : 20 + i + answers])
        for i in range(4)
    ]


@pytest.mark.parametrize("answers", [1, 2, 4])
@pytest.mark.parametrize("rank", [0, 4])
def test_log_probs_equal_those_of_single_unpadded_sequences(make, catalog, answers, rank):
    model = make(rank)
    with torch.no_grad():
        for weight in model.tuned_weights().values():
            weight.add_(0.05 * torch.randn_like(weight))
    rows = rows_of(model, catalog, answers)
    together = model.log_probs(rows)
    single = torch.stack([torch.stack([alone(model, row.prompt, a) for a in row.answers]) for row in rows])
    torch.testing.assert_close(together, single, atol=1e-4, rtol=0)


def test_gradients_equal_those_of_single_sequences(make, catalog):
    model = make(4)
    rows = rows_of(model, catalog, 2)

    def gradient(scores):
        model.network.zero_grad()
        scores.sum().backward()
        return torch.cat([w.grad.flatten() for w in model.network.parameters() if w.requires_grad])

    shared = gradient(model.log_probs(rows))
    apart = gradient(torch.stack([alone(model, row.prompt, a) for row in rows for a in row.answers]))
    torch.testing.assert_close(shared, apart, atol=1e-4, rtol=1e-4)
    assert shared.abs().max() > 0


def test_prompt_that_all_rows_share_is_laid_out_once():
    batch = collate([TokenRow((1, 2, 3), ((7, 8),)), TokenRow((1, 2, 4, 5), ((9,),))])
    assert batch.prefix.tolist() == [1, 2]
    assert batch.tokens.tolist() == [[3, 7], [4, 5]]
    assert batch.positions.tolist() == [[2, 3], [2, 3]]
    assert list(zip(batch.rows.tolist(), batch.columns.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1)]


def test_rows_with_unequal_numbers_of_answers_are_refused():
    with pytest.raises(ValueError, match="equally many answers"):
        PredictedTokens.of([TokenRow((1, 2), ((3,),)), TokenRow((1, 2), ((3,), (4,)))], "cpu")


def test_learning_the_sequence_scores_every_token_after_the_first(make, catalog):
    model = make(0)
    row = model.encode(catalog.titles[:3], catalog.titles[5:6])
    whole = model.log_probs(with_loss_on([row], "sequence"))
    single = alone(model, row.prompt[:1], row.prompt[1:] + row.answers[0])
    torch.testing.assert_close(whole[0, 0], single, atol=1e-3, rtol=0)
