"""The recommender: a base LLM, what was tuned of it, and its tokenizer."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from peft import LoraConfig, get_peft_model
from peft.helpers import disable_input_dtype_casting
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging

from sprec.data.prompts import Prompt, Step
from sprec.llm import adapters, gates, memory, norms, packed, rotary
from sprec.llm.engines.fast import attention, fsdp
from sprec.llm.engines.fast.attention import PackedBatch
from sprec.llm.engines.fast.chunked_log_probs import token_log_probs
from sprec.llm.engines.fast.decoding_state import FastDecodingState
from sprec.llm.engines.fast.prefix_cache import AnswerKVCache, PromptKVCache
from sprec.llm.engines.fast.shared_prompt_batch import PADDING, SharedPromptBatch, collate
from sprec.llm.fusion import compiled, eager
from sprec.llm.precision import loading
from sprec.llm.token_rows import PredictedStates, TokenRow

TUNED_FILE = "tuned.safetensors"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on all projections (Hu et al. 2022); `rank` 0 tunes every weight instead."""

    rank: int
    alpha: int
    dropout: float


def silence_libraries() -> None:
    """Silence what libraries say of themselves: the stages' own lines and bars are the progress."""
    said: Any = logging
    said.set_verbosity_error()
    said.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"(lightning|transformers)\.")


class LanguageModel:
    """Base LLM + adapter + tokenizer; `log_probs` scores answers, `save` and `load` keep what was tuned.

    `sharded` ones tune together, a part of the frozen weights in each process, and pass equally often.
    """

    def __init__(
        self,
        folder: Path,
        prompt: Prompt,
        *,
        lora: Lora,
        bf16: bool,
        device: str,
        cutoff_tokens: int,
        seed: int,
        nf4: bool = False,
        fp16: bool = False,
        sharded: bool = False,
        fused: bool = False,
        keep_freed: bool = True,
    ) -> None:
        attention.register()
        if keep_freed:
            memory.keep()
            memory.bound()
        self.prompt, self.device, self.cutoff_tokens = prompt, torch.device(device), cutoff_tokens
        self.truncated_prompts = 0
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        half = torch.float16 if fp16 else torch.bfloat16 if bf16 or nf4 else torch.float32
        dtype = half if lora.rank else torch.float32
        base: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, **loading(nf4=nf4, device=device)
        )
        base.config._attn_implementation = attention.NAME
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network: nn.Module = _adapted(base, lora) if lora.rank else base
        self.sharded = sharded
        if sharded:
            fsdp.shard(base, self.device)
        if not nf4:
            self.network.to(self.device)
        self.casts_inputs = sharded or not adapters.quicken(
            self.network
        )  # quick products are of whole weights
        fuse = compiled if fused else eager
        for part in (norms, gates, rotary):
            part.quicken(self.network, fuse)
        self.base_model, self.dtype = base, dtype
        self._initial = {name: value.clone() for name, value in self.tuned_weights().items()}

    def checkpoint_activations(self) -> None:
        """Keep the input of each layer alone for the gradient, compute the rest again (Chen et al. 2016)."""
        self.base_model.gradient_checkpointing_enable({"use_reentrant": False})

    def tuned_weights(self) -> dict[str, Tensor]:
        """Return the trainable weights by name."""
        return {
            name: weight.detach() for name, weight in self.network.named_parameters() if weight.requires_grad
        }

    def save(self, folder: Path) -> None:
        """Write the tuned weights as safetensors."""
        weights = {name: value.cpu().contiguous() for name, value in self.tuned_weights().items()}
        save_file(weights, folder / TUNED_FILE)

    def load(self, folder: Path | None) -> "LanguageModel":
        """Set the tuned weights to a folder's, or to the initial ones for None; returns itself.

        `truncated_prompts` starts at 0 again.
        """
        self.truncated_prompts = 0
        self.set_tuned_weights(load_file(folder / TUNED_FILE) if folder else self._initial)
        return self

    def set_tuned_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set tuned weights by name."""
        own = self.tuned_weights()
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)

    @cached_property
    def stop_tokens(self) -> Bool[Tensor, " vocabulary"]:
        """Which tokens end a title: those with a quote or line break, and the end of text."""
        pieces = self.tokenizer.batch_decode([[token] for token in range(self.base_model.config.vocab_size)])
        ends = torch.tensor(['"' in piece or "\n" in piece for piece in pieces])
        if self.tokenizer.eos_token_id is not None:
            ends[self.tokenizer.eos_token_id] = True
        return ends.to(self.device)

    def encode(
        self, history: Sequence[str], answers: Sequence[str] = (), *, step: Step = "inference"
    ) -> TokenRow:
        """Return the tokens of the step's prompt and of the titles that answer it.

        A prompt over the cutoff loses its oldest titles; `truncated_prompts` counts them since `load`.
        """
        kept = list(history)
        tokens = self._tokens(self.prompt.text(kept, step))
        while len(tokens) > self.cutoff_tokens and len(kept) > 1:
            kept = kept[1:]
            tokens = self._tokens(self.prompt.text(kept, step))
        self.truncated_prompts += len(kept) < len(history)
        first = self.tokenizer.bos_token_id
        start = () if first in (None, tokens[0]) else (first,)  # a chat template may begin with it
        return TokenRow((*start, *tokens), tuple(self.encode_answer(title) for title in answers))

    def encode_answer(self, title: str) -> tuple[int, ...]:
        """Return the tokens of a title and its closing quote."""
        return self._tokens(self.prompt.answer(title))

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False).input_ids)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Multiply in half precision where the base weights are so; adapters stay float32.

        Forwards of peft's would cast what they read (`casts_inputs`).
        """
        with ExitStack() as stack:
            if self.dtype != torch.float32:
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
                if self.casts_inputs:
                    stack.enter_context(disable_input_dtype_casting(self.network))
            yield

    @contextmanager
    def merged_adapters(self) -> Iterator[None]:
        """Compute with the adapters added into the base weights: faster, and without gradients."""
        with ExitStack() as stack:
            stack.enter_context(adapters.merged(self.network))
            if not self.sharded:
                stack.enter_context(packed.head(self.base_model))
            yield

    def log_probs(self, rows: Sequence[TokenRow]) -> Float[Tensor, "batch answers"]:
        """Return the summed log-probability of each answer, in nats; all rows have equally many answers."""
        batch = collate(rows).to(self.device)
        with self.autocast():
            states = self._states(batch, PackedBatch.of(batch, self.dtype))
            by_token = self.token_log_probs(states, batch.labels)
        sums: Tensor = by_token.new_zeros(batch.shape)
        return sums.index_put((batch.rows, batch.answers), by_token, accumulate=True)

    def hidden_states(self, rows: Sequence[TokenRow]) -> PredictedStates:
        """Return the last hidden state before each predicted token."""
        batch = collate(rows).to(self.device)
        hidden = self._states(batch, PackedBatch.of(batch, self.dtype))
        return PredictedStates(hidden, batch.rows, batch.answers, batch.labels)

    def token_log_probs(
        self, hidden: Float[Tensor, "predicted size"], labels: Int[Tensor, " predicted"]
    ) -> Float[Tensor, " predicted"]:
        """Return log p(label) at each hidden state, in nats."""
        return token_log_probs(self.base_model.lm_head, hidden, labels)

    def prefill(
        self, prompts: Sequence[tuple[int, ...]]
    ) -> tuple[FastDecodingState, Float[Tensor, "prompts vocabulary"]]:
        """Read the prompts, equal ones once; return rows to continue and the logits after each prompt."""
        places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
        owner = torch.tensor([places[prompt] for prompt in prompts], device=self.device)
        batch = collate([TokenRow(prompt, ((0,),)) for prompt in places]).to(self.device)
        packed_batch, cache = PackedBatch.of(batch, self.dtype), DynamicCache()
        last = self._states(batch, packed_batch, cache)
        layers: Any = cache.layers
        for layer in layers:
            layer.keys = packed_batch.unpack_to_rows(layer.keys)
            layer.values = packed_batch.unpack_to_rows(layer.values)
        rows = AnswerKVCache(PromptKVCache.of(cache, packed_batch.real), owner)
        return FastDecodingState(self.base_model, rows), self.base_model.lm_head(last[owner]).float()

    def _states(
        self, batch: SharedPromptBatch, packed_batch: PackedBatch, cache: DynamicCache | None = None
    ) -> Float[Tensor, "predicted size"]:
        """Return the last hidden state before each predicted token; `cache` takes packed keys and values.

        All real tokens stand in one sequence, the shared prefix first, so nothing is padded but the scores of
        attention. Past the last layer's attention there are only the tokens that predict.
        """
        real, start = batch.segments != PADDING, len(batch.prefix)
        first, idle = torch.arange(start, device=self.device), batch.prefix.new_zeros(packed_batch.idle)
        predicting = start + packed_batch.padded[batch.rows, batch.columns]
        layers: Any = self.base_model.model.layers
        short = rotary.shortened(layers[-1])
        hidden: Tensor = self.base_model.model(
            torch.cat([batch.prefix, batch.tokens[real], idle])[None],
            position_ids=torch.cat([first, batch.positions[real], idle])[None],
            past_key_values=cache,
            use_cache=cache is not None,
            packed_batch=packed_batch,
            predicting=predicting,
        ).last_hidden_state[0]
        return hidden if short else hidden[predicting]


def _adapted(base: Any, lora: Lora) -> nn.Module:
    """Return the model with adapters; adapter weights are float32 whatever the base is."""
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(PROJECTIONS),
        task_type="CAUSAL_LM",
    )
    model: nn.Module = get_peft_model(base, settings)
    return model
