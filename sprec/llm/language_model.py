"""The language model: a base LLM, its adapters and its tokenizer, computed by one of two engines."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from jaxtyping import Float

from sprec.data.prompts import Prompt, Step
from sprec.llm.adapters import Lora, add_adapters, without_input_casting
from sprec.llm.engines import fast
from sprec.llm.engines.interface import DecodingState
from sprec.llm.engines.plain import PlainEngine
from sprec.llm.precision import quantization_options
from sprec.llm.token_rows import TokenRow
from sprec.llm.tokenization import PromptTokenizer

if TYPE_CHECKING:
    from torch import Tensor, nn

TUNED_FILE = "tuned.safetensors"


def silence_libraries() -> None:
    """Keep libraries from printing: the stages' own lines and bars are the progress."""
    logging: Any = transformers.logging  # untyped
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"(lightning|transformers)\.")


class LanguageModel:
    """Base LLM, adapters and tokenizer; scores answers, continues prompts, saves and loads what is tuned.

    `sharded` models tune together: each process holds a part of the frozen weights, and all of them pass
    through the model equally often.
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
        engine: str = "fast",
        cached: bool = True,
    ) -> None:
        """Load the folder.

        Args:
            folder: Weights and tokenizer in the transformers layout.
            prompt: How histories and titles become text, and which titles there are.
            lora: The adapters; rank 0 tunes every weight.
            bf16: Multiply in bfloat16; else in float32.
            device: "cpu", "cuda" or "cuda:N".
            cutoff_tokens: The longest prompt; longer ones lose their oldest titles.
            seed: Of the adapters' initial weights.
            nf4: Hold the base weights in 4 bits.
            fp16: Hold the base weights in float16, for inference.
            sharded: Share out frozen weights among the processes of a group.
            engine: "fast" or "plain".
            cached: Whether the plain engine decodes with transformers' cache.
        """
        self.device = torch.device(device)
        self.tokens = PromptTokenizer.load(folder, prompt, cutoff_tokens=cutoff_tokens)
        self.prompt, self.tokenizer = prompt, self.tokens.tokenizer
        half = torch.float16 if fp16 else torch.bfloat16 if bf16 or nf4 else torch.float32
        self.dtype = half if lora.rank else torch.float32
        base: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=self.dtype, use_safetensors=True, **quantization_options(nf4=nf4, device=device)
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network: nn.Module = add_adapters(base, lora) if lora.rank else base
        self.sharded = sharded
        if sharded:
            from sprec.llm import sharding  # PyTorch's own takes a second to import

            sharding.shard(base, self.device)
        if not nf4:  # 4-bit weights were placed as they were loaded
            self.network.to(self.device)
        self.base_model = base
        self.engine = fast.install(base) if engine == "fast" else PlainEngine(base, cached=cached)
        self._initial = {name: weight.clone() for name, weight in self.tuned_weights().items()}

    def tuned_weights(self) -> dict[str, Tensor]:
        """Return the trainable weights by name."""
        return {
            name: weight.detach() for name, weight in self.network.named_parameters() if weight.requires_grad
        }

    def save(self, folder: Path) -> None:
        """Write the tuned weights as safetensors."""
        from safetensors.torch import save_file  # imports torch

        weights = {name: weight.cpu().contiguous() for name, weight in self.tuned_weights().items()}
        save_file(weights, folder / TUNED_FILE)

    def load(self, folder: Path | None) -> LanguageModel:
        """Set the tuned weights to a folder's, or to the initial ones for None; returns itself.

        The counts of truncated prompts and titles start at 0 again.
        """
        from safetensors.torch import load_file  # imports torch

        self.tokens.reset_counts()
        self.set_tuned_weights(load_file(folder / TUNED_FILE) if folder else self._initial)
        return self

    def set_tuned_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set tuned weights by name."""
        own = self.tuned_weights()
        with torch.no_grad():
            for name, weight in weights.items():
                own[name].copy_(weight)

    def encode(
        self, history: Sequence[str], answers: Sequence[str] = (), *, step: Step = "inference"
    ) -> TokenRow:
        """Return the tokens of the step's prompt and of the titles that answer it (`PromptTokenizer`)."""
        return self.tokens.encode(history, answers, step=step)

    def encode_answer(self, title: str) -> tuple[int, ...]:
        """Return the tokens that a title is written and ranked by."""
        return self.tokens.encode_answer(title)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Multiply in half precision where the base weights are so; adapters stay float32."""
        with ExitStack() as stack:
            if self.dtype != torch.float32:
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
                stack.enter_context(without_input_casting(self.network))
            yield

    def log_probs(self, rows: Sequence[TokenRow]) -> Float[Tensor, "batch answers"]:
        """Return the summed log-probability of each answer, in nats; all rows have equally many answers."""
        with self.autocast():
            return self.engine.log_probs(rows)

    def token_logits(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted vocabulary"]:
        """Return the logits of each predicted token, in the order of `PredictedTokens`."""
        with self.autocast():
            return self.engine.token_logits(rows)

    def hidden_states(self, rows: Sequence[TokenRow]) -> Float[Tensor, "predicted size"]:
        """Return the last hidden state before each predicted token, in the order of `PredictedTokens`."""
        with self.autocast():
            return self.engine.hidden_states(rows)

    def prefill(
        self, prompts: Sequence[tuple[int, ...]]
    ) -> tuple[DecodingState, Float[Tensor, "prompts vocabulary"]]:
        """Read the prompts; return one row per prompt to continue, and the logits after each prompt.

        Steps of the returned state belong inside `autocast`, as the call itself does. `FloatingPointError`
        where logits are not finite: what is written or ranked by them would be a number like any other.
        """
        state, logits = self.engine.prefill(prompts)
        if not logits.amax(-1).isfinite().all():
            raise FloatingPointError("the model's logits are not finite: tuning has diverged; lower its rate")
        return state, logits
