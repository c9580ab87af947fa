"""The shared-prompt batch: each prompt once, every answer beside it, logits where answers are predicted.

A row is `[prompt | answer₀ | answer₁ | …]`. An answer sees the prompt and itself, never another answer, and
its positions restart after the prompt. What all prompts of a batch begin with stands once for the batch.
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

    `segments` is 0 in the prompt, 1 + a in answer a, `PADDING` elsewhere. Predicted token i, in the order of
    `PredictedTokens.of`, is predicted at `tokens[rows[i], columns[i]]`.
    """

    prefix: Int[Tensor, " shared"]
    tokens: Int[Tensor, "batch width"]
    positions: Int[Tensor, "batch width"]
    segments: Int[Tensor, "batch width"]
    rows: Int[Tensor, " predicted"]
    columns: Int[Tensor, " predicted"]

    def visible(self) -> Bool[Tensor, "batch 1 width all"]:
        """Return which keys (prefix, then row) each query sees."""
        query, key = self.segments[:, :, None], self.segments[:, None, :]
        causal = torch.ones(key.shape[-1], key.shape[-1], dtype=torch.bool, device=key.device).tril()
        # Columns are in order of time within a segment, so plain causality serves answers as well.
        own = ((key == 0) | (key == query)) & causal
        shared = own.new_ones(*own.shape[:2], len(self.prefix))
        return torch.cat([shared, own], dim=2)[:, None]

    def to(self, device: torch.device | str) -> "SharedPromptBatch":
        """Return the batch on a device."""
        return SharedPromptBatch(
            **{field.name: getattr(self, field.name).to(device) for field in fields(self)}
        )


def collate(rows: Sequence[TokenRow]) -> SharedPromptBatch:
    """Return the batch of these rows."""
    shared = common_prefix_length([row.prompt for row in rows])
    # Every prompt keeps a token of its own: the first answer token is predicted from inside the row.
    lines = [_lay_out(row, shared) for row in rows]
    width = max(len(tokens) for tokens, *_ in lines)
    tokens, positions, segments = (
        torch.tensor([line[i] + [fill] * (width - len(line[i])) for line in lines])
        for i, fill in enumerate((0, 0, PADDING))
    )
    predicted = [(number, column) for number, line in enumerate(lines) for column in line[3]]
    numbers, columns = torch.tensor(predicted).unbind(1)
    prefix = torch.tensor(rows[0].prompt[:shared], dtype=torch.long)
    return SharedPromptBatch(prefix, tokens, positions, segments, numbers, columns)


def _lay_out(row: TokenRow, shared: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return a row's tokens, positions and segments, and the columns of what is predicted."""
    own, length = list(row.prompt[shared:]), len(row.prompt)
    tokens, positions, segments = own, list(range(shared, length)), [0] * len(own)
    columns: list[int] = []
    for number, answer in enumerate(row.answers):
        start, read = len(tokens), len(answer) - 1
        # The first token of every answer is predicted at the prompt's last one.
        columns += [len(own) - 1, *range(start, start + read)]
        tokens = tokens + list(answer[:-1])
        # Positions restart after the prompt, so that each answer reads as if it were the only one.
        positions = positions + list(range(length, length + read))
        segments = segments + [number + 1] * read
    return tokens, positions, segments, columns
