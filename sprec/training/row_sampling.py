"""The rows that a stage tunes on: which are drawn, and their tokens."""

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
"""The items of a history, and the answers to it: items, or titles that may be in no catalogue."""


@dataclass(frozen=True)
class RowSampling:
    """Rows per stage: `sft_rows` for the initial SFT, `iteration_rows` for each iteration; None takes all.

    `rows_seed` draws the rows of the iterations, None leaves that to the run's seed.
    """

    sft_rows: int | None
    iteration_rows: int | None
    rows_seed: int | None = None

    def of(self, iteration: int) -> int | None:
        """Return the number of rows of an iteration; iteration 0 is the initial SFT."""
        return self.iteration_rows if iteration else self.sft_rows

    def drawn(self, train: Examples, iteration: int, *, seed: int) -> Examples:
        """Return the iteration's rows, drawn anew by name without replacement."""
        size, own = self.of(iteration), self.rows_seed if iteration else None
        if size is None or size >= len(train):
            return train
        rng = stream(seed if own is None else own, "rows", iteration)
        return train.take(rng.choice(len(train), size, replace=False).tolist())

    def described(self, iteration: int) -> dict[str, int | None]:
        """Return all that the iteration's rows depend on beside the data and the run's seed."""
        own = {"rows_seed": self.rows_seed} if iteration and self.rows_seed is not None else {}
        return {"rows": self.of(iteration), "draw": iteration, **own}


def with_targets(examples: Examples) -> list[HistoryWithAnswers]:
    """Return each history with its target as the only answer."""
    return [(example.history, [example.target]) for example in examples]


def encode_rows(
    model: LanguageModel, catalog: Catalog, pairs: Sequence[HistoryWithAnswers], *, step: Step, loss_on: str
) -> list[TokenRow]:
    """Return the tokens of the step's prompts and answers, predicted as `loss_on` says (see `learning`)."""
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
