"""The plain engine: the model's own forward on padded rows, whatever its architecture.

It is what every test compares with. Rows are padded on the right: in a causal model nothing that comes later
reaches a token, so that neither padding nor the other rows can change what is computed for it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int

from sprec.llm.engines.interface import DecodingState, group_equal, sum_by_answer
from sprec.llm.token_rows import PredictedTokens, TokenRow

if TYPE_CHECKING:
    from torch import Tensor

Tokens = tuple[int, ...]


class PlainEngine:
    """Reads `prompt + answer` once per answer through the unchanged model.

    With `cached`, decoding uses transformers' own cache on prompts padded on the left, as its `generate`;
    without, each step reads the whole row again, which is right for every model and slow.
    """

    name: ClassVar[str] = "plain"

    def __init__(self, base_model: Any, *, cached: bool) -> None:
        self._base_model, self._cached = base_model, cached
        self._arguments = signature(base_model.forward).parameters

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._base_model.get_input_embeddings().weight.device
        return device

    def log_probs(self, rows: Sequence[TokenRow]) -> Float[Tensor, "batch answers"]:
        """Return the summed log-probability of each answer, in nats."""
        tokens = PredictedTokens.of(rows, self._device)
        by_token = -torch.nn.functional.cross_entropy(
            self.token_logits(rows), tokens.labels, reduction="none"
        )
        return sum_by_answer(by_token, tokens)

    def token_logits(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted vocabulary"]:
        """Return the logits from which each token is predicted, in float32."""
        sequences, places, columns = self._lay_out(rows)
        wanted = columns.unique()
        inputs: dict[str, Any] = self._padded(sequences)
        if "logits_to_keep" in self._arguments:  # spares the table of all tokens × vocabulary
            inputs["logits_to_keep"] = wanted
            columns = torch.searchsorted(wanted, columns)
        logits: Tensor = self._base_model(**inputs, use_cache=False).logits[places, columns]
        return logits.float()

    def hidden_states(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted size"]:
        """Return the decoder's last hidden state from which each token is predicted."""
        sequences, places, columns = self._lay_out(rows)
        decoder = self._base_model.base_model
        hidden: Tensor = decoder(**self._padded(sequences), use_cache=False).last_hidden_state
        return hidden[places, columns]

    def prefill(self, prompts: Sequence[Tokens]) -> tuple[DecodingState, Float[Tensor, "prompts vocabulary"]]:
        """Read the prompts, equal ones once; return rows to continue and the logits after each prompt."""
        distinct, places = group_equal(prompts)
        owner = torch.tensor(places, device=self._device)
        state: _CachedState | _RereadState
        if self._cached:
            state, logits = _CachedState.of(self._base_model, distinct, self._device)
            return state.select_rows(owner), logits[owner]
        state = _RereadState(self, [distinct[place] for place in places])
        return state, self.next_logits(distinct)[owner]

    def next_logits(self, sequences: Sequence[Tokens]) -> Float[Tensor, "rows vocabulary"]:
        """Return the logits of the token after each sequence."""
        return self.token_logits([TokenRow(sequence, ((0,),)) for sequence in sequences])

    def checkpoint_activations(self) -> None:
        """Store only each layer's input for the gradient and recompute the rest (Chen et al. 2016)."""
        self._base_model.gradient_checkpointing_enable({"use_reentrant": False})

    def _lay_out(self, rows: Sequence[TokenRow]) -> tuple[list[Tokens], Tensor, Tensor]:
        """Return one sequence per answer, and where in them each predicted token is predicted from."""
        pairs = [(row.prompt, answer) for row in rows for answer in row.answers]
        spans = [(len(prompt) - 1, len(answer)) for prompt, answer in pairs]
        places = [number for number, (_, length) in enumerate(spans) for _ in range(length)]
        columns = [start + offset for start, length in spans for offset in range(length)]
        return (
            [prompt + answer[:-1] for prompt, answer in pairs],
            torch.tensor(places, device=self._device),
            torch.tensor(columns, device=self._device),
        )

    def _padded(self, sequences: Sequence[Tokens]) -> dict[str, Tensor]:
        """Return the sequences padded on the right, and which of their tokens are real."""
        width = max(map(len, sequences))
        # Any valid id will do as padding, and 0 always is one: tokenizers without a padding token are common.
        ids = [[*sequence, *[0] * (width - len(sequence))] for sequence in sequences]
        mask = [[1] * len(sequence) + [0] * (width - len(sequence)) for sequence in sequences]
        return {
            "input_ids": torch.tensor(ids, device=self._device),
            "attention_mask": torch.tensor(mask, device=self._device),
        }


class _RereadState:
    """Decoding without a cache: each step reads all of each row again."""

    def __init__(self, engine: PlainEngine, sequences: Sequence[Tokens]) -> None:
        self._engine, self._sequences = engine, list(sequences)

    def select_rows(self, rows: Int[Tensor, " selected"]) -> _RereadState:
        """Return these rows, in this order and as often as named."""
        return _RereadState(self._engine, [self._sequences[row] for row in rows.tolist()])

    def step(self, tokens: Int[Tensor, "rows width"]) -> Float[Tensor, "rows vocabulary"]:
        """Read the next tokens of each row; return the logits of the token that follows them."""
        pairs = zip(self._sequences, tokens.tolist(), strict=True)
        self._sequences = [(*sequence, *following) for sequence, following in pairs]
        return self._engine.next_logits(self._sequences)

    def tail_log_probs(
        self,
        tokens: Int[Tensor, "rows width"],
        real: Bool[Tensor, "rows width"],
        labels: Int[Tensor, " real"],
    ) -> Float[Tensor, " real"]:
        """Return log p of the label after each real token, in nats."""
        lengths = real.sum(1).tolist()
        rows = [
            TokenRow((*sequence, row[0]), ((*row[1:length], 0),))  # the last token is predicted, not read
            for sequence, row, length in zip(self._sequences, tokens.tolist(), lengths, strict=True)
        ]
        return -torch.nn.functional.cross_entropy(self._engine.token_logits(rows), labels, reduction="none")


class _CachedState:
    """Decoding with transformers' own cache; `mask` says which of the tokens that it has read are real."""

    def __init__(self, base_model: Any, cache: Any, mask: Int[Tensor, "rows read"]) -> None:
        self._base_model, self._cache, self._mask = base_model, cache, mask
        self._arguments = signature(base_model.forward).parameters

    @classmethod
    def of(
        cls, base_model: Any, prompts: Sequence[Tokens], device: torch.device
    ) -> tuple[_CachedState, Float[Tensor, "prompts vocabulary"]]:
        """Read the prompts, padded on the left so that all of them end in the last column."""
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        real = (torch.arange(width, device=device) >= width - lengths[:, None]).long()
        state = cls(base_model, None, real[:, :0])
        return state, state._read(ids, real, keep=1)[:, -1].float()

    def select_rows(self, rows: Int[Tensor, " selected"]) -> _CachedState:
        """Return these rows, in this order and as often as named."""
        # Layers with a recurrent state write into it in place, so that rows shared by two states need copies.
        cache = copy.deepcopy(self._cache)
        cache.batch_select_indices(rows)
        return _CachedState(self._base_model, cache, self._mask[rows])

    def step(self, tokens: Int[Tensor, "rows width"]) -> Float[Tensor, "rows vocabulary"]:
        """Read the next tokens of each row; return the logits of the token that follows them."""
        return self._read(tokens, torch.ones_like(tokens), keep=1)[:, -1].float()

    def tail_log_probs(
        self,
        tokens: Int[Tensor, "rows width"],
        real: Bool[Tensor, "rows width"],
        labels: Int[Tensor, " real"],
    ) -> Float[Tensor, " real"]:
        """Return log p of the label after each real token, in nats."""
        logits = self._read(tokens, real.long(), keep=tokens.shape[1])[real]
        return -torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")

    def _read(self, tokens: Tensor, real: Tensor, *, keep: int) -> Float[Tensor, "rows kept vocabulary"]:
        """Return the logits after the last `keep` of these tokens; some models give all."""
        self._mask = torch.cat([self._mask, real], dim=1)
        inputs: dict[str, Any] = {"attention_mask": self._mask, "past_key_values": self._cache}
        if "position_ids" in self._arguments:
            positions = (self._mask.cumsum(1) - 1).clamp(min=0)
            inputs["position_ids"] = positions[:, -tokens.shape[1] :]
        if "logits_to_keep" in self._arguments:
            inputs["logits_to_keep"] = keep
        output = self._base_model(tokens, use_cache=True, **inputs)
        self._cache = output.past_key_values
        logits: Tensor = output.logits
        return logits
