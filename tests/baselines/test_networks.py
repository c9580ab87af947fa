"""The networks of the id-based models by hand: what a layer computes, and when it is in training mode."""

import numpy as np
import pytest
import torch
from torch import nn

from sprec.baselines.gru4rec import gru4rec
from sprec.baselines.sasrec import Block, sasrec
from sprec.baselines.sequential import FitSettings, NextItemModel, fit, rank_items, score_items
from sprec.data.examples import Example, Examples

ROWS = Examples.from_rows([Example((item, (item + 1) % 5), (item + 2) % 5) for item in range(5)])


class Identity(NextItemModel):
    """The state at each position is the scaled embedding of the item there."""

    def states(self, embedded):
        return embedded


class Times(nn.Module):
    """Stands for dropout, so that each place where it acts shows."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, states):
        return states * self.factor


def randomised(model):
    """Give all weights random values, since layer norms begin alike and biases near 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_()
    return model


def by_hand(block, states, factor=1):
    hidden = states + factor * block.attend(block.attention_norm(states))
    inner = factor * torch.relu(block.inner(block.forward_norm(hidden)))
    return hidden + factor * block.outer(inner)


def test_a_block_adds_attention_then_two_linear_layers_each_after_its_own_norm():
    block = randomised(Block(6, heads=2, dropout=0.0))
    states = torch.randn(2, 4, 6)
    torch.testing.assert_close(block.train()(states), by_hand(block, states))


def test_a_block_has_dropout_after_attention_and_after_both_linear_layers():
    block = randomised(Block(6, heads=2, dropout=0.0))
    block.dropout = Times(3)
    states = torch.randn(2, 4, 6)
    torch.testing.assert_close(block(states), by_hand(block, states, 3))


def test_sasrec_adds_positions_before_dropout_and_normalises_after_the_last_block():
    model = randomised(sasrec(5, rng=np.random.default_rng(0), length=4, width=6, blocks=2, dropout=0.0))
    model.dropout = Times(3)
    embedded = torch.randn(2, 3, 6)
    first, second = model.blocks
    expected = model.norm(by_hand(second, by_hand(first, 3 * (embedded + model.position[:3]))))
    torch.testing.assert_close(model.states(embedded), expected)


def test_logits_are_products_of_states_with_the_items_own_embeddings():
    """Of width 4 an item is read as twice its embedding; the padding's row is nobody's logit."""
    model = Identity(3, length=2, width=4)
    with torch.no_grad():
        model.embedding.weight.copy_(
            torch.tensor([[1, 0, 0, 0], [1, 2, 0, 0], [0, 1, 1, 5], [9, 9, 9, 9]], dtype=torch.float32)
        )
        logits = model(torch.tensor([[0, 1], [2, 0]]))
    # products of the rows: 0·0 = 1, 0·1 = 1, 0·2 = 0, 1·1 = 5, 1·2 = 2, 2·2 = 27
    assert logits.tolist() == [[[2, 2, 0], [2, 10, 4]], [[0, 4, 54], [2, 2, 0]]]
    assert score_items(model, [[0, 1], [2], [1, 0, 2]]).tolist() == [[2, 10, 4], [0, 4, 54], [0, 4, 54]]


@pytest.mark.parametrize("build", [sasrec, gru4rec])
def test_epochs_train_in_training_mode_and_scores_are_computed_without(build, monkeypatch):
    """Users are ranked after every epoch, which leaves the model in evaluation mode."""
    model = build(5, rng=np.random.default_rng(0), length=3, width=8, dropout=0.5)
    modes, states = [], model.states

    def noted(embedded):
        modes.append((torch.is_grad_enabled(), {module.training for module in model.modules()}))
        return states(embedded)

    monkeypatch.setattr(model, "states", noted)
    once, again = (score_items(model, [[0, 1], [2]]) for _ in range(2))
    assert torch.equal(once, again)
    settings = FitSettings(epochs=3, windows=4, patience=3)
    assert len(fit(model, ROWS, ROWS, settings, rng=np.random.default_rng(0))) == 3
    rank_items(model, [[0, 1]], 2)
    training, scoring = (True, {True}), (False, {False})
    assert modes == [scoring] * 2 + [training, scoring] * 3 + [scoring]
