"""What recommenders of item ids share: padded batches, training on every next item, ranking.

Histories are padded behind, not in front as in the released SASRec: the causal models here then
never see padding, and places count from the oldest item kept. Padding is the id `items`.
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
USERS_AT_ONCE = 512
INITIAL_DEVIATION = 0.02


class NextItem(nn.Module):
    """Scores every item as the next one after each place; the item embedding is input and output.

    A subclass gives `states`; it must not look at later places. `length` is the most items it reads.
    """

    def __init__(self, items: int, *, length: int, width: int) -> None:
        super().__init__()
        self.items, self.length, self.width = items, length, width
        self.embedding = nn.Embedding(items + 1, width)
        nn.init.normal_(self.embedding.weight, std=INITIAL_DEVIATION)

    def states(self, embedded: Float[Tensor, "batch places width"]) -> Float[Tensor, "batch places width"]:
        """Return what is known after each place."""
        raise NotImplementedError

    def forward(self, ids: Int[Tensor, "batch places"]) -> Float[Tensor, "batch places items"]:
        """Return the logits of the item after each place."""
        return self.logits(self._read(ids))

    def last(self, histories: Lists) -> Float[Tensor, "batch items"]:
        """Return the logits of the item after each history, of which the last `length` items count."""
        device = self.embedding.weight.device
        ends = [min(len(history), self.length) - 1 for history in histories]
        states = self._read(padded(histories, length=self.length, padding=self.items).to(device))
        return self.logits(states[torch.arange(len(ends)), torch.tensor(ends)])

    def logits(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch items"]:
        """Return the inner product of states and item embeddings."""
        return states @ self.embedding.weight[: self.items].T

    def _read(self, ids: Int[Tensor, "batch places"]) -> Float[Tensor, "batch places width"]:
        # the root lets one matrix serve as input and output (Vaswani et al. 2017, section 3.4)
        return self.states(self.embedding(ids) * math.sqrt(self.width))


@dataclass(frozen=True)
class Fit:
    """How an id-based model trains: Adam on cross-entropy over all items, stopped on validation NDCG.

    An epoch draws `windows` training rows, by default as many as give each place of the data about one
    loss term: sliding windows overlap, and a row teaches the item after each of its places. Training
    ends after `epochs`, or when `patience` epochs brought no better NDCG@`cutoff`.
    """

    epochs: int = 100
    windows: int | None = None
    batch_rows: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    patience: int = 5
    cutoff: int = 5


@contextmanager
def seeded(rng: Generator) -> Iterator[None]:
    """Draw torch's random numbers from `rng`; its global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        yield


def padded(sequences: Lists, *, length: int, padding: int) -> Int[Tensor, "rows length"]:
    """Return the last `length` ids of each sequence, oldest first, and `padding` behind them.

    `ValueError` for a sequence without an item, or an id that is not from 0 to `padding` - 1.

    >>> padded([[4, 0, 3], [2]], length=2, padding=9).tolist()
    [[0, 3], [2, 9]]
    """
    table = np.full((len(sequences), length), padding)
    for row, sequence in enumerate(sequences):
        kept = sequence[-length:]
        if not len(kept):
            raise ValueError(f"row {row} has no item before its target; give id-based models at least one")
        if min(kept) < 0 or max(kept) >= padding:
            raise ValueError(f"row {row} has the ids {kept}; the model knows 0 to {padding - 1} only")
        table[row, : len(kept)] = kept
    return torch.from_numpy(table)


def fit(
    model: NextItem, train: Examples, valid: Examples, settings: Fit, *, rng: Generator
) -> list[dict[str, float]]:
    """Train `model` in place and leave it at its best epoch; returns loss and NDCG of each epoch.

    The loss is the mean cross-entropy in nats over all items and places. The NDCG is that of `valid`,
    history included in the ranking; its key is `ndcg@K`. `rng` draws windows, order and dropout.
    """
    name = f"ndcg@{settings.cutoff}"
    optimiser = torch.optim.Adam(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    histories, target = valid.frame["history"].to_list(), valid.frame["target"].to_numpy()
    curve: list[dict[str, float]] = []
    best, kept = 0, _copy(model)
    with seeded(rng):
        for _ in track(range(settings.epochs), "epochs at most", settings.epochs):
            if len(curve) - best >= settings.patience:
                break
            loss = _epoch(model, optimiser, _drawn(train, model, settings, rng), settings.batch_rows)
            found = float(ndcg(rank(model, histories, settings.cutoff), target).mean())
            curve.append({"loss": loss, name: found})
            log.info("epoch %d: loss %.4f, validation %s %.4f", len(curve), loss, name, found)
            if not best or found > curve[best - 1][name]:
                best, kept = len(curve), _copy(model)
    model.load_state_dict(kept)
    return curve


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _drawn(train: Examples, model: NextItem, settings: Fit, rng: Generator) -> Int[Tensor, "rows places"]:
    """Return history and target of randomly drawn training rows, one sequence each."""
    size = math.ceil(len(train) / model.length) if settings.windows is None else settings.windows
    frame = train.frame[rng.choice(len(train), min(size, len(train)), replace=False)]
    sequences = [[*history, target] for history, target in frame.select("history", "target").iter_rows()]
    return padded(sequences, length=model.length + 1, padding=model.items)


def _epoch(
    model: NextItem, optimiser: torch.optim.Optimizer, sequences: Int[Tensor, "rows places"], batch: int
) -> float:
    """Take one step per batch; returns the mean loss of the steps."""
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


def scores(model: NextItem, histories: Lists) -> Float[Tensor, "users items"]:
    """Return the logit of every catalogue item as each user's next one; only their order has a meaning."""
    return torch.cat(list(_scored(model, histories)))


def rank(
    model: NextItem, histories: Lists, k: int, *, exclude_history: bool = False
) -> Int[np.ndarray, "users k"]:
    """Return the k items that score highest, best first, with or without those of the user's history.

    `ValueError` where k is below 1 or above the number of items. Where the history leaves fewer than
    k items, the last places are -1.
    """
    if not 1 <= k <= model.items:
        raise ValueError(f"k = {k} does not fit {model.items} items; take 1 to {model.items}")
    longest = max(map(len, histories)) if exclude_history else 0
    wide = min(k + longest, model.items)
    ranked = torch.cat([each.topk(wide).indices for each in _scored(model, histories)]).numpy()
    return without_history(ranked, histories, k=k) if exclude_history else ranked


def _scored(model: NextItem, histories: Lists) -> Iterator[Float[Tensor, "batch items"]]:
    """Yield the scores of some users at a time, without dropout."""
    model.eval()
    for start in range(0, len(histories), USERS_AT_ONCE):
        with torch.no_grad():
            yield model.last(histories[start : start + USERS_AT_ONCE]).cpu()
