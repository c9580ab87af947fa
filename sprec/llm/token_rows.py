"""Token rows: one prompt and the answers to it as token ids, grouped so that passes waste little padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TokenRow:
    """Token ids of one prompt and of the answers to it; neither may be empty."""

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Tokens that the model reads; the last token of an answer is predicted but never read."""
        return len(self.prompt) + sum(len(answer) - 1 for answer in self.answers)


@dataclass(frozen=True)
class PredictedTokens:
    """The tokens that rows predict: by row, then answer, then place in the answer.

    Predicted token i is `labels[i]`, of answer `answers[i]` to the prompt of row `rows[i]`.
    """

    rows: Int[Tensor, " predicted"]
    answers: Int[Tensor, " predicted"]
    labels: Int[Tensor, " predicted"]

    @classmethod
    def of(cls, rows: Sequence[TokenRow], device: torch.device | str) -> PredictedTokens:
        """Return what these rows predict; `ValueError` where they have unequal numbers of answers."""
        if len({len(row.answers) for row in rows}) != 1:
            counts = [len(row.answers) for row in rows]
            raise ValueError(f"rows of one batch need equally many answers, got {counts}")
        tokens = [
            (number, place, label)
            for number, row in enumerate(rows)
            for place, answer in enumerate(row.answers)
            for label in answer
        ]
        return cls(*torch.tensor(tokens, device=device).unbind(1))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and answers per row."""
        return int(self.rows[-1]) + 1, int(self.answers[-1]) + 1


def common_prefix_length(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many leading tokens all prompts share, leaving at least one token to each prompt.

    >>> common_prefix_length([[1, 2, 3, 4], [1, 2, 5]]), common_prefix_length([[1, 2], [1, 2]])
    (2, 1)
    """
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False)))
    return min(shared, min(map(len, prompts)) - 1)


def with_loss_on(rows: Sequence[TokenRow], predicted: str) -> list[TokenRow]:
    """Return the rows with more of the prompt moved into what is predicted; each must have one answer.

    `predicted` is "title" (the answer alone), "history" (also all from where prompts begin to differ: the
    titles of the history and what every prompt ends with), or "sequence" (all but the first token, as SPRec's
    released SFT).

    >>> with_loss_on([TokenRow((1, 2, 3), ((7,),)), TokenRow((1, 2, 4), ((8,),))], "history")[0]
    TokenRow(prompt=(1, 2), answers=((3, 7),))
    """
    if predicted == "title":
        return list(rows)
    if any(len(row.answers) != 1 for row in rows):
        raise ValueError(
            f"loss_on={predicted} is for SFT; rows with several answers have a loss on titles alone"
        )
    # Nothing stands before the first token that it could be predicted from.
    start = 1 if predicted == "sequence" else common_prefix_length([row.prompt for row in rows])
    return [TokenRow(row.prompt[:start], (row.prompt[start:] + row.answers[0],)) for row in rows]


def microbatches(widths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the numbers of rows of these widths in groups that hold at most `tokens`, padding included.

    Longest rows come first and rows of similar length share a group, so that little is padded. A row longer
    than the budget is a group of its own.
    """
    groups: list[list[int]] = []
    for number in sorted(range(len(widths)), key=lambda i: (-widths[i], i)):
        # A group's first row is its longest, so that all are padded to its width.
        if groups and widths[groups[-1][0]] * (len(groups[-1]) + 1) <= tokens:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
