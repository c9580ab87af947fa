"""The shared-prompt batch: each prompt once, every answer beside it, logits where answers are read.

A row is `[prompt | answer₀ | answer₁ | …]`. An answer sees the prompt and itself, never another
answer, and its positions restart after the prompt. What all prompts of a batch begin with stands
once for the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from sprec.llm.token_rows import TokenRow, common_prefix_length

PADDING = -1


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


def collate(rows: Sequence[TokenRow]) -> SharedPromptBatch:
    """Return the batch of these rows; all must have equally many answers."""
    if len({len(row.answers) for row in rows}) != 1:
        raise ValueError(f"rows of one batch need equally many answers, got {[len(r.answers) for r in rows]}")
    shared = common_prefix_length([row.prompt for row in rows])
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
