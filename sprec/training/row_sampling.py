"""The rows that a stage trains on: which are sampled, and their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sprec.data.catalog import Catalog
from sprec.data.examples import Examples
from sprec.data.prompts import Step
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow, with_loss_on
from sprec.seeds import stream

HistoryWithAnswers: TypeAlias = tuple[Sequence[int], Sequence[int | str]]
"""The items of a history, and the answers to it: items, or titles that no catalogue needs to have."""


@dataclass(frozen=True)
class RowSampling:
    """How many rows a stage trains on: `sft_rows` in the initial SFT, `iteration_rows` later; None takes all.

    `rows_seed` samples the rows of the iterations; None leaves that to the run's seed.
    """

    sft_rows: int | None
    iteration_rows: int | None
    rows_seed: int | None = None

    def row_count(self, iteration: int) -> int | None:
        """Return the number of rows of an iteration; iteration 0 is the initial SFT."""
        return self.iteration_rows if iteration else self.sft_rows

    def sample_rows(self, train: Examples, iteration: int, *, seed: int) -> Examples:
        """Return the iteration's rows, sampled without replacement and anew in each iteration."""
        # Released code seeds the initial SFT's rows and draws later ones unseeded: `rows_seed` is for those.
        count, own_seed = self.row_count(iteration), self.rows_seed if iteration else None
        if count is None or count >= len(train):
            return train
        rng = stream(seed if own_seed is None else own_seed, "rows", iteration)
        return train.take(rng.choice(len(train), count, replace=False).tolist())

    def describe(self, iteration: int) -> dict[str, int | None]:
        """Return all that the iteration's rows depend on beside the data and the run's seed."""
        own_seed = {"rows_seed": self.rows_seed} if iteration and self.rows_seed is not None else {}
        # As many rows of another iteration are other rows, hence its number.
        return {"rows": self.row_count(iteration), "draw": iteration, **own_seed}


def with_targets(examples: Examples) -> list[HistoryWithAnswers]:
    """Return each history with its target as the only answer."""
    return [(example.history, [example.target]) for example in examples]


def encode_rows(
    model: LanguageModel, catalog: Catalog, pairs: Sequence[HistoryWithAnswers], *, step: Step, loss_on: str
) -> list[TokenRow]:
    """Return the tokens of the step's prompts and answers; SFT predicts what `loss_on` names.

    Args:
        model: its tokenizer and prompt are used.
        catalog: the titles of items.
        pairs: histories and the answers to them.
        step: which prompt, where steps have prompts of their own.
        loss_on: see `with_loss_on`.
    """
    titles = catalog.titles
    rows = [
        model.encode(
            [titles[item] for item in history],
            [answer if isinstance(answer, str) else titles[answer] for answer in answers],
            step=step,
        )
        for history, answers in pairs
    ]
    return with_loss_on(rows, loss_on)
