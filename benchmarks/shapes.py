"""Base LLMs of known shapes with random weights, for timing where no weights are at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sprec.llm.base_models import TinyLlama


@dataclass(frozen=True)
class Shapes:
    """Sizes of a Llama with tied embeddings; `groups` is its number of key-value heads."""

    layers: int
    hidden: int
    heads: int
    groups: int
    inner: int
    vocabulary: int
    bf16: bool = True

    def write(self, folder: Path, texts: Sequence[str]) -> None:
        """Write random weights and a tokenizer trained on `texts`, as a transformers folder."""
        TinyLlama("shapes", hidden=8, layers=1, heads=2, vocabulary=600).write(
            folder, texts
        )  # for its tokenizer
        config = LlamaConfig(
            num_hidden_layers=self.layers,
            hidden_size=self.hidden,
            num_attention_heads=self.heads,
            num_key_value_heads=self.groups,
            intermediate_size=self.inner,
            vocab_size=self.vocabulary,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = LlamaForCausalLM(config)
        torch.nn.Module.to(model, torch.bfloat16 if self.bf16 else torch.float32)
        model.save_pretrained(folder)


SHAPES = {
    "llama3_2_1b": Shapes(layers=16, hidden=2048, heads=32, groups=8, inner=8192, vocabulary=128_256),
    "tiny": Shapes(layers=2, hidden=64, heads=4, groups=2, inner=128, vocabulary=1000),
}
