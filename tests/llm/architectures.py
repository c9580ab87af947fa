"""Architectures of transformers on random weights: what each engine computes beside transformers and peft.

`python -m tests.llm.architectures [NAME …]` prints the table of docs/engines.md.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from sprec.data.prompts import Prompt
from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Greedy, search_titles, write_titles
from sprec.generation.title_trie import TitleTrie
from sprec.llm.adapters import Lora
from sprec.llm.base_models import TinyLlama
from sprec.llm.engines.choice import EngineChoice, choose_engine
from sprec.llm.language_model import LanguageModel, silence_libraries
from sprec.llm.token_rows import TokenRow

CUTOFF_TOKENS, TITLE_TOKENS, BEAMS = 96, 6, 3
WINDOW = 24
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,  # large enough for logits that a soft cap or a scale changes
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
LATENT = {
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "llama, yarn": ("LlamaConfig", {"rope_parameters": YARN}),
    "mistral": ("MistralConfig", {"sliding_window": None}),
    "mistral, window": ("MistralConfig", {"sliding_window": WINDOW}),
    "qwen2": ("Qwen2Config", {}),
    "qwen2, windows": ("Qwen2Config", {"use_sliding_window": True, "max_window_layers": 0, **MIXED}),
    "qwen3": ("Qwen3Config", {"head_dim": 16}),
    "qwen3-moe": ("Qwen3MoeConfig", {"head_dim": 16, "decoder_sparse_step": 1, **EXPERTS}),
    "gemma": ("GemmaConfig", {"head_dim": 16}),
    "gemma2": ("Gemma2Config", {"head_dim": 16, **MIXED}),
    "gemma3": ("Gemma3TextConfig", {"head_dim": 16, **MIXED}),
    "phi3": ("Phi3Config", {"pad_token_id": 0}),
    "phi3, window": ("Phi3Config", {"pad_token_id": 0, "sliding_window": WINDOW}),
    "olmo2": ("Olmo2Config", {}),
    "olmo3": ("Olmo3Config", MIXED),
    "granite": ("GraniteConfig", {"logits_scaling": 8.0, "attention_multiplier": 0.1}),
    "cohere": ("CohereConfig", {"logit_scale": 0.25}),
    "smollm3": ("SmolLM3Config", {}),
    "stablelm": ("StableLmConfig", {}),
    "nemotron": ("NemotronConfig", {}),
    "starcoder2": ("Starcoder2Config", {}),
    "starcoder2, window": ("Starcoder2Config", {"sliding_window": WINDOW}),
    "glm4": ("Glm4Config", {"head_dim": 16, "pad_token_id": 0}),
    "gpt2": ("GPT2Config", {"n_embd": 64, "n_layer": 2, "n_head": 4}),
    "opt": ("OPTConfig", {"ffn_dim": 96, "word_embed_proj_dim": 64}),
    "gpt-neox": ("GPTNeoXConfig", {}),
    "falcon": ("FalconConfig", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon, alibi": ("FalconConfig", {"alibi": True, "multi_query": False}),
    "bloom": ("BloomConfig", {"n_layer": 2, "n_head": 4}),
    "lfm2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"], "block_multiple_of": 16}),
    "qwen3-next": (
        "Qwen3NextConfig",
        {"head_dim": 16, **EXPERTS, **LINEAR},
    ),
    "mixtral": ("MixtralConfig", LOCAL),
    "deepseek-v3": (
        "DeepseekV3Config",
        {
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            **EXPERTS,
            **LATENT,
        },
    ),
    "gpt-oss": ("GptOssConfig", {"head_dim": 16, **LOCAL, **MIXED}),
}
QUICK = ("llama", "mistral, window", "gemma2", "granite", "gpt2", "lfm2")
"""One of each kind: plain causality, window, soft caps, scaled logits, no rotary positions, recurrent."""


def build(name: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a small model of random weights, and the tokenizer, as a transformers folder."""
    class_name, own = ARCHITECTURES[name]
    config_class = getattr(transformers, class_name)
    ids = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    config = config_class(**{**SIZES, **ids, **own})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    # Norms of scale 1 everywhere would hide a norm that is left out.
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load(folder: Path, engine: str, *, cached: bool) -> LanguageModel:
    """Return the model with adapters on all linear layers, which add something."""
    where = {"device": "cpu", "cutoff_tokens": CUTOFF_TOKENS, "seed": 0}
    lora = Lora(rank=4, alpha=8, dropout=0.0)
    prompt = Prompt(toy_dataset().wording)
    model = LanguageModel(folder, prompt, lora=lora, bf16=False, **where, engine=engine, cached=cached)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    model.network.eval()
    return model


def rows_of(model: LanguageModel) -> list[TokenRow]:
    """Return rows of unequal lengths, with two answers each."""
    titles = toy_dataset().catalog.titles
    return [model.encode(titles[i : i + 2 + 2 * i], titles[20 + i : 22 + i]) for i in range(3)]


def reference_logits(model: LanguageModel, tokens: Sequence[int]) -> Tensor:
    """Return the logits after each token by the model's own forward: one row, no padding, no cache."""
    logits: Tensor = model.base_model(torch.tensor([list(tokens)]), use_cache=False).logits[0].float()
    return logits


def reference_log_prob(model: LanguageModel, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
    """Return the log-probability of an answer in nats."""
    table = reference_logits(model, [*prompt, *answer])[len(prompt) - 1 : -1].log_softmax(-1)
    return table[torch.arange(len(answer)), list(answer)].sum()


def reference_title(model: LanguageModel, prompt: Sequence[int]) -> str:
    """Return the greedy title, token by token."""
    written: list[int] = []
    while len(written) < TITLE_TOKENS:
        written.append(int(reference_logits(model, [*prompt, *written])[-1].argmax()))
        if written[-1] in model.tokens.stop_tokens(len(model.tokenizer)):
            break
    return model.tokens.read_titles([written])[0]


def gradient(model: LanguageModel, scores: Tensor) -> Tensor:
    """Return the gradient of Σ scores² / 100 by the adapters."""
    model.network.zero_grad()
    (scores.square().sum() / 100).backward()
    weights = [weight for weight in model.network.parameters() if weight.requires_grad]
    # Experts that no token reached have no gradient.
    return torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights])


@dataclass(frozen=True)
class Agreement:
    """How an engine compares with transformers and peft: differences in nats, gradients, titles, beams."""

    log_probs: float
    gradient: float
    titles: bool
    beams: float

    @property
    def exact(self) -> bool:
        """Whether all is equal to float32 rounding."""
        return max(self.log_probs, self.beams) <= 1e-4 and self.gradient <= 1e-3 and self.titles


def compare(model: LanguageModel) -> Agreement:
    """Return how a model's engine compares with transformers and peft."""
    rows = rows_of(model)
    expected = torch.stack(
        [
            torch.stack([reference_log_prob(model, row.prompt, answer) for answer in row.answers])
            for row in rows
        ]
    )
    expected_gradient, scores = gradient(model, expected), model.log_probs(rows)
    difference = (gradient(model, scores) - expected_gradient).abs().max() / expected_gradient.abs().max()
    prompts = [row.prompt for row in rows]
    written = write_titles(
        model, prompts, Greedy(), np.random.default_rng(0), batch_tokens=1000, max_tokens=TITLE_TOKENS
    )
    with torch.no_grad():
        titles = [reference_title(model, prompt) for prompt in prompts]
    return Agreement(
        float((scores - expected).detach().abs().max()),
        float(difference),
        written == titles,
        beam_difference(model, prompts),
    )


@torch.no_grad()
def beam_difference(model: LanguageModel, prompts: Sequence[tuple[int, ...]]) -> float:
    """Return the largest difference of the best titles' scores from an exhaustive search, in nats."""
    answers = [model.encode_answer(title) for title in toy_dataset().catalog.titles[:BEAMS]]
    ids, scores = search_titles(model, prompts, TitleTrie.of(answers), k=BEAMS, batch_tokens=10_000)
    largest = 0.0
    for row, prompt in enumerate(prompts):
        exact = np.array([float(reference_log_prob(model, prompt, answer)) for answer in answers])
        largest = max(largest, float(np.abs(exact[ids[row]] - scores[row]).max()))
        if not np.allclose(np.sort(exact)[::-1], exact[ids[row]], atol=1e-4):
            return math.inf
    return largest


@dataclass(frozen=True)
class TableRow:
    """An architecture's row: what was chosen, and how the plain and the chosen engine compare."""

    name: str
    choice: EngineChoice
    plain: Agreement
    chosen: Agreement

    def cells(self) -> list[str]:
        """Return the cells of the printed table."""
        return [
            self.name,
            self.choice.engine
            + ("" if self.choice.cached else ", no cache") * (self.choice.engine == "plain"),
            *(f"{agreement.log_probs:.0e}" for agreement in (self.plain, self.chosen)),
            f"{self.chosen.gradient:.0e}",
            "equal" if self.chosen.titles else "differ",
            f"{self.chosen.beams:.0e}",
            self.choice.reason,
        ]


def examine(name: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> TableRow:
    """Build an architecture, choose its engine, compare both engines with transformers and peft."""
    build(name, tokenizer, folder)
    plain = load(folder, "plain", cached=False)
    choice = choose_engine("auto", plain.base_model, cutoff_tokens=CUTOFF_TOKENS)
    if choice.engine == "plain" and not choice.cached:
        agreement = compare(plain)
        return TableRow(name, choice, agreement, agreement)
    return TableRow(name, choice, compare(plain), compare(load(folder, choice.engine, cached=choice.cached)))


def tokenizer_for(folder: Path) -> PreTrainedTokenizerFast:
    """Return a small tokenizer trained on the toy catalogue."""
    data = toy_dataset()
    texts = [Prompt(data.wording).text(())] * 10 + list(data.catalog.titles)
    TinyLlama("tiny", hidden=32, layers=1, heads=4, vocabulary=400).write(folder, texts)
    tokenizer: PreTrainedTokenizerFast = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer


HEADS = (
    "architecture",
    "engine",
    "plain, nats",
    "auto, nats",
    "gradient",
    "titles",
    "beams, nats",
    "why not fast",
)


def main(names: Sequence[str], show: Callable[[str], None] = print) -> None:
    """Print the table as Markdown."""
    silence_libraries()
    show(f"| {' | '.join(HEADS)} |")
    show("|---" * len(HEADS) + "|")
    with tempfile.TemporaryDirectory() as place:
        tokenizer = tokenizer_for(Path(place) / "tokenizer")
        for number, name in enumerate(names or ARCHITECTURES):
            show(f"| {' | '.join(examine(name, tokenizer, Path(place) / str(number)).cells())} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="architectures (default: all)")
    main(parser.parse_args().names)
