"""What recommenders of item ids share: padded batches, training on every next item, ranking.

Histories are padded at the end, not at the start as in the released SASRec: the causal models here then
never see padding, and positions count from the oldest item read. The padding id is `items`.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F

from sprec.data.examples import Examples
from sprec.evaluation.metrics import Lists, ndcg, without_history
from sprec.progress import track

log = logging.getLogger(__name__)
USERS_PER_BATCH = 512
INITIAL_STD = 0.02


class NextItemModel(nn.Module):
    """Scores every item as the next one after each position; input and output share the item embedding.

    A subclass defines `states`, which must not look at later positions. `length` is the most items it reads.
    """

    def __init__(self, items: int, *, length: int, width: int) -> None:
        super().__init__()
        self.items, self.length, self.width = items, length, width
        self.embedding = nn.Embedding(items + 1, width)
        nn.init.normal_(self.embedding.weight, std=INITIAL_STD)

    def states(
        self, embedded: Float[Tensor, "batch positions width"]
    ) -> Float[Tensor, "batch positions width"]:
        """Return a summary of the history up to each position."""
        raise NotImplementedError

    def forward(self, ids: Int[Tensor, "batch positions"]) -> Float[Tensor, "batch positions items"]:
        """Return the logits of the item after each position."""
        return self.logits(self._embed(ids))

    def next_item_logits(self, histories: Lists) -> Float[Tensor, "batch items"]:
        """Return the logits of the item after each history, of which the last `length` items are read."""
        device = self.embedding.weight.device
        ends = [min(len(history), self.length) - 1 for history in histories]
        ids = pad_sequences(histories, length=self.length, padding=self.items).to(device)
        states = self._embed(ids)
        return self.logits(states[torch.arange(len(ends)), torch.tensor(ends)])

    def logits(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch items"]:
        """Return the inner product of states and item embeddings."""
        # The last row is the padding's, which nobody is recommended.
        return states @ self.embedding.weight[: self.items].T

    def _embed(self, ids: Int[Tensor, "batch positions"]) -> Float[Tensor, "batch positions width"]:
        # the square root lets one matrix serve as input and output (Vaswani et al. 2017, section 3.4)
        return self.states(self.embedding(ids) * math.sqrt(self.width))


@dataclass(frozen=True)
class FitSettings:
    """How an id-based model trains: Adam on cross-entropy over all items, stopped on validation NDCG.

    An epoch samples `windows` training rows, by default as many as give each interaction about one loss
    term: sliding windows overlap, and a row teaches the item after each of its positions. Training ends
    after `epochs`, or after `patience` epochs without a better NDCG@`cutoff` of the validation rows, of which
    at most `valid_rows` are sampled, once (None: all count). On a few hundred rows that score is a few hits.
    """

    epochs: int = 100
    windows: int | None = None
    batch_rows: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 5
    cutoff: int = 5
    valid_rows: int | None = 10_000

    def __post_init__(self) -> None:
        for name in ("epochs", "windows", "batch_rows", "patience", "cutoff", "valid_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:  # an untrained model would be ranked like any other
                raise ValueError(f"{name} = {value} trains nothing; take 1 or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate = {self.learning_rate} trains nothing; take more than 0")


@contextmanager
def torch_seeded(rng: Generator) -> Iterator[None]:
    """Seed torch's random numbers from `rng`; the global generator is restored afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        yield


def pad_sequences(sequences: Lists, *, length: int, padding: int) -> Int[Tensor, "rows length"]:
    """Return the last `length` ids of each sequence, oldest first, with `padding` after them.

    `ValueError` for a sequence without an item, or an id outside 0 to `padding` - 1.

    >>> pad_sequences([[4, 0, 3], [2]], length=2, padding=9).tolist()
    [[0, 3], [2, 9]]
    """
    table = np.full((len(sequences), length), padding)
    for row, sequence in enumerate(sequences):
        ids = sequence[-length:]
        if not len(ids):
            raise ValueError(f"row {row} has no item before its target; give id-based models at least one")
        if min(ids) < 0 or max(ids) >= padding:
            raise ValueError(f"row {row} has the ids {ids}; the model knows 0 to {padding - 1} only")
        table[row, : len(ids)] = ids
    return torch.from_numpy(table)


def fit(
    model: NextItemModel, train: Examples, valid: Examples, settings: FitSettings, *, rng: Generator
) -> list[dict[str, float]]:
    """Train `model` in place, leave it at its best epoch, and return loss and NDCG of each epoch.

    The loss is the mean cross-entropy in nats over all items and positions. The NDCG, under the key `ndcg@K`,
    is that of `valid` with the history included in the ranking.

    Args:
        model: the untrained model.
        train: the rows to learn from.
        valid: the rows that say when to stop.
        settings: optimiser and stopping rule.
        rng: the source of windows, their order and dropout.

    """
    name = f"ndcg@{settings.cutoff}"
    optimiser = torch.optim.Adam(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    valid = _sample_rows(valid, settings.valid_rows, rng)
    histories, target = valid.frame["history"].to_list(), valid.frame["target"].to_numpy()
    curve: list[dict[str, float]] = []
    best, best_weights = 0, _copy_weights(model)
    with torch_seeded(rng):
        for _ in track(range(settings.epochs), "epochs at most", settings.epochs):
            if len(curve) - best >= settings.patience:
                break
            loss = _train_epoch(
                model, optimiser, _sample_windows(train, model, settings, rng), settings.batch_rows
            )
            score = float(ndcg(rank_items(model, histories, settings.cutoff), target).mean())
            curve.append({"loss": loss, name: score})
            log.info("epoch %d: loss %.4f, validation %s %.4f", len(curve), loss, name, score)
            if not best or score > curve[best - 1][name]:
                best, best_weights = len(curve), _copy_weights(model)
    model.load_state_dict(best_weights)
    return curve


def _sample_rows(rows: Examples, most: int | None, rng: Generator) -> Examples:
    if most is None or len(rows) <= most:
        return rows
    return rows.take(np.sort(rng.choice(len(rows), most, replace=False)).tolist())


def _copy_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _sample_windows(
    train: Examples, model: NextItemModel, settings: FitSettings, rng: Generator
) -> Int[Tensor, "rows positions"]:
    """Return randomly sampled training rows as sequences: the history, then the target."""
    size = math.ceil(len(train) / model.length) if settings.windows is None else settings.windows
    frame = train.frame[rng.choice(len(train), min(size, len(train)), replace=False)]
    sequences = [[*history, target] for history, target in frame.select("history", "target").iter_rows()]
    return pad_sequences(sequences, length=model.length + 1, padding=model.items)


def _train_epoch(
    model: NextItemModel,
    optimiser: torch.optim.Optimizer,
    sequences: Int[Tensor, "rows positions"],
    batch: int,
) -> float:
    """Take one step per batch and return the mean loss of the steps."""
    model.train()
    losses = []
    for rows in torch.split(sequences.to(model.embedding.weight.device), batch):
        logits = model(rows[:, :-1]).flatten(0, 1)
        loss = F.cross_entropy(logits, rows[:, 1:].flatten(), ignore_index=model.items)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    if not math.isfinite(sum(losses)):
        raise FloatingPointError(f"loss is {sum(losses)} after {len(losses)} steps; lower learning_rate")
    return float(np.mean(losses))


def score_items(model: NextItemModel, histories: Lists) -> Float[Tensor, "users items"]:
    """Return each user's logit of every catalogue item as the next one."""
    return torch.cat(list(_score_batches(model, histories)))


def rank_items(
    model: NextItemModel, histories: Lists, k: int, *, exclude_history: bool = False
) -> Int[np.ndarray, "users k"]:
    """Return the k items that score highest, best first; `exclude_history` leaves out the user's own.

    Where the history leaves fewer than k items, the last places are -1. `ValueError` where k is below 1 or
    above the number of items.
    """
    if not 1 <= k <= model.items:
        raise ValueError(f"k = {k} does not fit {model.items} items; take 1 to {model.items}")
    longest = max(map(len, histories)) if exclude_history else 0
    wide = min(k + longest, model.items)
    ranked = torch.cat([logits.topk(wide).indices for logits in _score_batches(model, histories)]).numpy()
    return without_history(ranked, histories, k=k) if exclude_history else ranked


def _score_batches(model: NextItemModel, histories: Lists) -> Iterator[Float[Tensor, "batch items"]]:
    """Yield the logits of some users at a time, without dropout."""
    model.eval()
    for start in range(0, len(histories), USERS_PER_BATCH):
        with torch.no_grad():
            yield model.next_item_logits(histories[start : start + USERS_PER_BATCH]).cpu()
