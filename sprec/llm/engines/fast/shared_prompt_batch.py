"""The shared-prompt batch: each prompt once, every answer beside it, logits where answers are read.

A row is `[prompt | answer₀ | answer₁ | …]`. An answer sees the prompt and itself, never another
answer, and its positions restart after the prompt. What all prompts of a batch begin with stands
once for the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import takewhile

import torch
from jaxtyping import Bool, Int
from torch import Tensor

PADDING = -1


@dataclass(frozen=True)
class TokenRow:
    """Token ids of one prompt and of the answers to it; neither may be empty."""

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Tokens that the model reads: an answer's last token is only predicted."""
        return len(self.prompt) + sum(len(answer) - 1 for answer in self.answers)


@dataclass(frozen=True)
class SharedPromptBatch:
    """Rows laid out for one pass of the model.

    `segments` is 0 in the prompt, 1 + a in answer a, `PADDING` elsewhere. Predicted token i is `labels[i]`,
    read at `tokens[rows[i], columns[i]]`, and belongs to answer `answers[i]` of its row.
    """

    prefix: Int[Tensor, " shared"]
    tokens: Int[Tensor, "batch width"]
    positions: Int[Tensor, "batch width"]
    segments: Int[Tensor, "batch width"]
    rows: Int[Tensor, " predicted"]
    columns: Int[Tensor, " predicted"]
    answers: Int[Tensor, " predicted"]
    labels: Int[Tensor, " predicted"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and answers per row."""
        return len(self.tokens), int(self.answers.max()) + 1

    def visible(self) -> Bool[Tensor, "batch 1 width all"]:
        """Return which keys (prefix, then row) each query sees."""
        query, key = self.segments[:, :, None], self.segments[:, None, :]
        causal = torch.ones(key.shape[-1], key.shape[-1], dtype=torch.bool, device=key.device).tril()
        own = ((key == 0) | (key == query)) & causal
        shared = own.new_ones(*own.shape[:2], len(self.prefix))
        return torch.cat([shared, own], dim=2)[:, None]

    def to(self, device: torch.device | str) -> "SharedPromptBatch":
        """Return the batch on a device."""
        return SharedPromptBatch(
            **{field.name: getattr(self, field.name).to(device) for field in fields(self)}
        )


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many leading tokens all prompts share, leaving each at least one of its own.

    >>> common_prefix([[1, 2, 3, 4], [1, 2, 5]]), common_prefix([[1, 2], [1, 2]])
    (2, 1)
    """
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False)))
    return min(shared, min(map(len, prompts)) - 1)


def collate(rows: Sequence[TokenRow]) -> SharedPromptBatch:
    """Return the batch of these rows; all must have equally many answers."""
    if len({len(row.answers) for row in rows}) != 1:
        raise ValueError(f"rows of one batch need equally many answers, got {[len(r.answers) for r in rows]}")
    shared = common_prefix([row.prompt for row in rows])
    laid = [_lay_out(row, shared) for row in rows]
    width = max(len(tokens) for tokens, *_ in laid)
    tokens, positions, segments = (
        torch.tensor([line[i] + [fill] * (width - len(line[i])) for line in laid])
        for i, fill in enumerate((0, 0, PADDING))
    )
    predicted = [(r, *point) for r, line in enumerate(laid) for point in line[3]]
    where, columns, answers, labels = torch.tensor(predicted).unbind(1)
    prefix = torch.tensor(rows[0].prompt[:shared], dtype=torch.long)
    return SharedPromptBatch(prefix, tokens, positions, segments, where, columns, answers, labels)


def _lay_out(
    row: TokenRow, shared: int
) -> tuple[list[int], list[int], list[int], list[tuple[int, int, int]]]:
    """Return a row's tokens, positions and segments, and (column, answer, label) of each predicted token."""
    own = list(row.prompt[shared:])
    tokens, positions, segments = own, list(range(shared, len(row.prompt))), [0] * len(own)
    last, predicted = len(own) - 1, []
    for number, answer in enumerate(row.answers):
        start = len(tokens)
        columns = [last, *range(start, start + len(answer) - 1)]
        predicted += [(column, number, label) for column, label in zip(columns, answer, strict=True)]
        tokens = tokens + list(answer[:-1])
        positions = positions + list(range(len(row.prompt), len(row.prompt) + len(answer) - 1))
        segments = segments + [number + 1] * (len(answer) - 1)
    return tokens, positions, segments, predicted


def with_loss_on(rows: Sequence[TokenRow], part: str) -> list[TokenRow]:
    """Return the rows with more of the prompt among what is predicted; each must have one answer.

    `part` is "title" (the answer alone), "history" (what differs between prompts too, hence the titles of
    the history), or "sequence" (all but the first token, as SPRec's released SFT).

    >>> with_loss_on([TokenRow((1, 2, 3), ((7,),)), TokenRow((1, 2, 4), ((8,),))], "history")[0]
    TokenRow(prompt=(1, 2), answers=((3, 7),))
    """
    if part == "title":
        return list(rows)
    if any(len(row.answers) != 1 for row in rows):
        raise ValueError(f"learns={part} is for SFT: rows with several answers learn their titles alone")
    kept = 1 if part == "sequence" else common_prefix([row.prompt for row in rows])
    return [TokenRow(row.prompt[:kept], (row.prompt[kept:] + row.answers[0],)) for row in rows]


def microbatches(widths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the numbers of rows of these widths, so grouped that no padded group holds more than `tokens`.

    Longest rows come first; rows of similar length share a group, so little is padded. A row longer than the
    budget stands alone.
    """
    groups: list[list[int]] = []
    for number in sorted(range(len(widths)), key=lambda i: (-widths[i], i)):
        if groups and widths[groups[-1][0]] * (len(groups[-1]) + 1) <= tokens:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
