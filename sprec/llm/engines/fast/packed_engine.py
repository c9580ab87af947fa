"""The fast engine: each prompt once beside all of its answers, all rows in one sequence without padding."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sprec.llm.engines.fast.attention import attending, present_layout, register
from sprec.llm.engines.fast.chunked_log_probs import token_log_probs
from sprec.llm.engines.fast.output_head import OutputHead
from sprec.llm.engines.fast.packed_batch import PackedBatch
from sprec.llm.engines.fast.prefix_cache import AnswerKVCache, KVRecorder, PromptKVCache
from sprec.llm.engines.fast.shared_prompt_batch import PADDING, SharedPromptBatch, collate
from sprec.llm.engines.interface import group_equal, sum_by_answer
from sprec.llm.token_rows import PredictedTokens, TokenRow


class PackedEngine:
    """Computes packed rows through the decoder, and logits by the model's own head path."""

    name: ClassVar[str] = "fast"

    def __init__(self, base_model: Any) -> None:
        register()  # a name in transformers' table; registering it twice does no harm
        # `base_model.base_model` is the decoder without its head, whatever a family calls it.
        self._base_model, self._decoder = base_model, base_model.base_model
        self._head = OutputHead(base_model)

    @property
    def _weight(self) -> Tensor:
        # Device and format are asked of it in every pass: the model may be moved after this is made.
        weight: Tensor = self._base_model.get_input_embeddings().weight
        return weight

    def log_probs(self, rows: Sequence[TokenRow]) -> Float[Tensor, "batch answers"]:
        """Return the summed log-probability of each answer, in nats."""
        tokens = PredictedTokens.of(rows, self._weight.device)
        return sum_by_answer(self.token_log_probs(self.hidden_states(rows), tokens.labels), tokens)

    def token_logits(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted vocabulary"]:
        """Return the logits from which each token is predicted, in float32."""
        return self.logits(self.hidden_states(rows))

    def hidden_states(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted size"]:
        """Return the decoder's last hidden state from which each token is predicted."""
        batch = collate(rows).to(self._weight.device)
        return self._states(batch, PackedBatch.of(batch, self._score_dtype()), None)

    def prefill(
        self, prompts: Sequence[tuple[int, ...]]
    ) -> tuple["PackedDecodingState", Float[Tensor, "prompts vocabulary"]]:
        """Read the prompts, equal ones once; return rows to continue and the logits after each prompt."""
        distinct, places = group_equal(prompts)
        owner = torch.tensor(places, device=self._weight.device)
        # One answer of one token, which is never read, makes the last prompt token the predicting one.
        batch = collate([TokenRow(prompt, ((0,),)) for prompt in distinct]).to(self._weight.device)
        packed, recorder = PackedBatch.of(batch, self._score_dtype()), KVRecorder()
        last = self._states(batch, packed, recorder)
        cache = AnswerKVCache(PromptKVCache.of(recorder, packed), owner)
        # Logits are computed once per row asked for, as in later steps, so that equal rows have equal bits.
        return PackedDecodingState(self, cache), self.logits(last[owner])

    def logits(self, hidden: Float[Tensor, "tokens size"]) -> Float[Tensor, "tokens vocabulary"]:
        """Return the logits at hidden states, in float32."""
        logits: Tensor = self._head(hidden)
        return logits.float()

    def token_log_probs(
        self, hidden: Float[Tensor, "tokens size"], labels: Int[Tensor, " tokens"]
    ) -> Float[Tensor, " tokens"]:
        """Return log p(label) at each hidden state, in nats."""
        vocabulary = self._base_model.config.vocab_size
        return token_log_probs(self._head, self._head.frozen_weight, hidden, labels, vocabulary=vocabulary)

    def checkpoint_activations(self) -> None:
        """Store only each layer's input for the gradient and recompute the rest (Chen et al. 2016)."""
        options = {"use_reentrant": False, "context_fn": self._recomputing}
        self._base_model.gradient_checkpointing_enable(options)

    def continue_rows(
        self, cache: AnswerKVCache, tokens: Int[Tensor, "rows width"]
    ) -> Float[Tensor, "rows width size"]:
        """Read the next tokens of each row into the cache; return the hidden states after them."""
        with attending(self._base_model.config, cache):
            hidden: Tensor = self._decoder(
                tokens,
                position_ids=cache.next_positions(tokens.shape[1]),
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
        # Only now: while the pass runs, the layers' positions count from the tokens read before it.
        cache.own_tokens += tokens.shape[1]
        return hidden

    def _states(
        self, batch: SharedPromptBatch, packed: PackedBatch, recorder: KVRecorder | None
    ) -> Float[Tensor, "predicted size"]:
        """Return the hidden state from which each token is predicted; `recorder` gets keys and values.

        All real tokens stand in one sequence, the shared prefix first, so that nothing is padded but the
        scores of attention.
        """
        real, start = batch.segments != PADDING, len(batch.prefix)
        first = torch.arange(start, device=batch.tokens.device)
        idle = batch.prefix.new_zeros(packed.idle)
        # No attention mask is passed on purpose: a model that wants one would build its own from it.
        with attending(self._base_model.config, packed):
            hidden: Tensor = self._decoder(
                torch.cat([batch.prefix, batch.tokens[real], idle])[None],
                position_ids=torch.cat([first, batch.positions[real], idle])[None],
                past_key_values=recorder,
                use_cache=recorder is not None,
            ).last_hidden_state[0]
        # Indexing before the head spares the logits of every token that predicts nothing.
        return hidden[start + packed.padded[batch.rows, batch.columns]]

    def _score_dtype(self) -> torch.dtype:
        """Return the format of attention scores: autocast's where it is on, else that of the weights."""
        # Under autocast, projections give half precision whatever the weights are, and masks must fit them.
        device = self._weight.device.type
        on = torch.is_autocast_enabled(device)
        return torch.get_autocast_dtype(device) if on else self._weight.dtype

    def _recomputing(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return contexts for a layer's first pass and for its repetition in the backward pass.

        The repetition runs after the block that set the layout has ended, hence it sets it again.
        """
        return nullcontext(), attending(self._base_model.config, present_layout())


class PackedDecodingState:
    """Rows that continue prompts of a `PackedEngine`."""

    def __init__(self, engine: PackedEngine, cache: AnswerKVCache) -> None:
        self._engine, self._cache = engine, cache

    def select_rows(self, rows: Int[Tensor, " selected"]) -> "PackedDecodingState":
        """Return these rows, in this order and as often as named."""
        return PackedDecodingState(self._engine, self._cache.select_rows(rows))

    def step(self, tokens: Int[Tensor, "rows width"]) -> Float[Tensor, "rows vocabulary"]:
        """Read the next tokens of each row; return the logits of the token that follows them."""
        # Of several tokens read at once the last alone has a token after it that is not known yet.
        return self._engine.logits(self._engine.continue_rows(self._cache, tokens)[:, -1])

    def tail_log_probs(
        self,
        tokens: Int[Tensor, "rows width"],
        real: Bool[Tensor, "rows width"],
        labels: Int[Tensor, " real"],
    ) -> Float[Tensor, " real"]:
        """Return log p of the label after each real token, in nats."""
        hidden = self._engine.continue_rows(self._cache, tokens)
        return self._engine.token_log_probs(hidden[real], labels)
