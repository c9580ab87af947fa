from dataclasses import replace

import numpy as np
import pytest
import torch

from sprec.baselines import sequential
from sprec.baselines.gru4rec import gru4rec
from sprec.baselines.recommenders import rank_popular
from sprec.baselines.sasrec import sasrec
from sprec.baselines.sequential import FitSettings, fit, pad_sequences, rank_items, score_items
from sprec.data.examples import Example, Examples
from sprec.data.readers.toy import toy_dataset
from sprec.evaluation.metrics import ndcg

SHORT = FitSettings(epochs=2, windows=64)
both = pytest.mark.parametrize("build", [sasrec, gru4rec])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def toy():
    return toy_dataset()


@pytest.fixture(scope="module")
def rings():
    """Rows of users who go round ten items in one of two directions: the direction decides what is next."""
    starts = range(10)
    return Examples.from_rows(
        [
            Example(tuple((start + turn * step) % 10 for step in range(4)), (start + turn * 4) % 10)
            for start in starts
            for turn in (1, -1)
        ]
    )


def histories(examples):
    return examples.frame["history"].to_list()


@both
def test_direction_of_a_ring_is_learned_from_the_order_of_items(build, rings):
    model = build(10, rng=rng(), length=4, width=16, dropout=0.0)
    curve = fit(
        model, rings, rings, FitSettings(epochs=60, windows=20, learning_rate=0.02, patience=60), rng=rng(1)
    )
    # nothing tells the direction after one item (log 2), everything does after two or more
    assert min(epoch["loss"] for epoch in curve) == pytest.approx(np.log(2) / 4, abs=0.05)
    assert rank_items(model, histories(rings), 1)[:, 0].tolist() == rings.frame["target"].to_list()


@both
def test_toy_users_are_predicted_better_than_by_popularity(build, toy):
    model = build(len(toy.catalog), rng=rng(), width=32)
    fit(
        model,
        toy.split.train,
        toy.split.valid,
        FitSettings(epochs=12, windows=512, learning_rate=5e-3),
        rng=rng(1),
    )
    test = toy.split.test
    target = test.frame["target"].to_numpy()
    found = ndcg(rank_items(model, histories(test), 5), target).mean()
    popular = ndcg(np.tile(toy.most_popular(5), (len(test), 1)), target).mean()
    assert found > 2 * popular


@both
def test_same_generator_gives_the_same_model_and_leaves_torchs_alone(build, toy):
    def trained(seed):
        model = build(len(toy.catalog), rng=rng(seed), width=16)
        curve = fit(model, toy.split.train, toy.split.valid, SHORT, rng=rng(seed + 1))
        return score_items(model, histories(toy.split.test)), curve

    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, curve = trained(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    again, same = trained(0)
    assert torch.equal(first, again)
    assert curve == same
    assert not torch.equal(first, trained(5)[0])


@both
def test_no_place_sees_a_later_one(build):
    model = build(20, rng=rng(), length=6).eval()
    ids = torch.tensor([[3, 1, 4, 1, 5, 9], [3, 1, 4, 2, 6, 20]])
    logits = model(ids)
    assert torch.allclose(logits[0, :3], logits[1, :3], atol=1e-6)
    assert not torch.allclose(logits[0, 3], logits[1, 3], atol=1e-3)


@both
def test_short_histories_score_as_they_do_among_long_ones(build):
    model = build(20, rng=rng(), length=6)
    rows = [[3], [3, 1, 4, 1, 5, 9], [2, 7]]
    together = score_items(model, rows)
    assert together.shape == (3, 20)
    for row, found in zip(rows, together, strict=True):
        assert torch.allclose(score_items(model, [row])[0], found, atol=1e-6)


@both
def test_history_beyond_the_length_does_not_count(build):
    model = build(20, rng=rng(), length=3)
    assert torch.equal(score_items(model, [[9, 8, 1, 2, 3]]), score_items(model, [[1, 2, 3]]))


@both
def test_ranking_is_by_score_and_may_leave_the_history_out(build, monkeypatch):
    monkeypatch.setattr("sprec.baselines.sequential.USERS_PER_BATCH", 2)
    model = build(12, rng=rng(), length=3)
    rows = [[1, 2, 3], [4], [5, 6, 7]]
    best = score_items(model, rows).argsort(dim=1, descending=True)
    assert rank_items(model, rows, 12).tolist() == best.tolist()
    for row, kept, order in zip(
        rows, rank_items(model, rows, 9, exclude_history=True), best.tolist(), strict=True
    ):
        assert kept.tolist() == [item for item in order if item not in row][:9]
    assert rank_items(model, [[0, 1, 2]], 12, exclude_history=True)[0, 9:].tolist() == [-1, -1, -1]


def test_training_stops_without_progress_and_leaves_the_best_epoch(toy):
    model = sasrec(len(toy.catalog), rng=rng(), width=16)
    settings = FitSettings(epochs=40, windows=128, learning_rate=0.05, patience=3)
    curve = fit(model, toy.split.train, toy.split.valid, settings, rng=rng(1))
    gains = [epoch["ndcg@5"] for epoch in curve]
    assert len(gains) == int(np.argmax(gains)) + 1 + 3
    valid = toy.split.valid
    found = ndcg(rank_items(model, histories(valid), 5), valid.frame["target"].to_numpy()).mean()
    assert found == max(gains) > gains[-1]


@pytest.mark.parametrize(("most", "judged"), [(7, 7), (None, 235), (1000, 235)])
def test_each_epoch_is_judged_by_the_same_rows_of_which_there_may_be_a_sample(toy, monkeypatch, most, judged):
    asked, rank = [], sequential.rank_items
    monkeypatch.setattr(
        sequential, "rank_items", lambda model, rows, k: asked.append(rows) or rank(model, rows, k)
    )
    model = sasrec(len(toy.catalog), rng=rng(), width=16)
    fit(model, toy.split.train, toy.split.valid, replace(SHORT, valid_rows=most), rng=rng())
    assert [len(rows) for rows in asked] == [judged] * 2
    assert asked[0] == asked[1]


def test_loss_that_is_no_number_stops_with_the_remedy(toy):
    model = sasrec(len(toy.catalog), rng=rng(), width=16)
    with pytest.raises(FloatingPointError, match="after 5 steps; lower learning_rate"):
        fit(
            model,
            toy.split.train,
            toy.split.valid,
            FitSettings(windows=100, batch_rows=20, learning_rate=1e30),
            rng=rng(),
        )


def test_padding_keeps_the_last_items_in_front():
    assert pad_sequences([[1, 2, 3, 4], [5]], length=3, padding=9).tolist() == [[2, 3, 4], [5, 9, 9]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "row 1 has no item before its target; give id-based models at least one"),
        ([3, -1], r"row 1 has the ids \[3, -1\]; the model knows 0 to 8 only"),
        ([9], r"row 1 has the ids \[9\]; the model knows 0 to 8 only"),
    ],
)
def test_row_that_no_model_can_read_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        pad_sequences([[1], row], length=3, padding=9)


def test_more_places_than_items_are_refused():
    with pytest.raises(ValueError, match="k = 11 does not fit 10 items; take 1 to 10"):
        rank_items(gru4rec(10, rng=rng()), [[1]], 11)


@pytest.mark.parametrize("name", ["epochs", "windows", "batch_rows", "patience", "cutoff", "valid_rows"])
def test_settings_that_train_nothing_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} = 0 trains nothing"):
        FitSettings(**{name: 0})


def test_popular_items_leave_out_histories_where_asked_for():
    dataset = toy_dataset()
    rows = dataset.split.test.take([0, 1, 2])
    plain, without = (rank_popular(dataset, rows, 5, exclude_history=flag) for flag in (False, True))
    assert (plain == dataset.most_popular(5)).all()
    popular = dataset.most_popular(60).tolist()
    for row, ranked in zip(rows, without.tolist(), strict=True):
        assert ranked == [item for item in popular if item not in row.history][:5]
