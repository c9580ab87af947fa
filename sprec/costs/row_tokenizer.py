"""Rows of tokens without a loaded model: for counting, not for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import transformers

from sprec.costs.flops import ModelShape
from sprec.data.prompts import Prompt
from sprec.llm.token_rows import TokenRow
from sprec.llm.tokenization import PromptTokenizer


class RowTokenizer:
    """The tokenizer of a base LLM's folder and its prompt; `shape` are the sizes of the model there."""

    def __init__(self, folder: Path, prompt: Prompt, *, cutoff_tokens: int, rank: int) -> None:
        self.tokens = PromptTokenizer(
            transformers.AutoTokenizer.from_pretrained(folder), prompt, cutoff_tokens=cutoff_tokens
        )
        self.shape = ModelShape.of(transformers.AutoConfig.from_pretrained(folder), rank)

    def row(self, history: Sequence[str], answers: Sequence[str]) -> TokenRow:
        """Return prompt and answers as `LanguageModel.encode` does."""
        return self.tokens.encode(history, answers)
