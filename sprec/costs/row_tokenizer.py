"""Rows of tokens without a loaded model: for counting, not for training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from sprec.costs.flops import ModelShape
from sprec.data.prompts import Prompt
from sprec.llm.token_rows import TokenRow


class RowTokenizer:
    """The tokenizer of a base LLM's folder and its prompt; `shape` are the sizes of the model there."""

    def __init__(self, folder: Path, prompt: Prompt, *, cutoff_tokens: int, rank: int) -> None:
        self.prompt, self.cutoff_tokens = prompt, cutoff_tokens
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.shape = ModelShape.of(AutoConfig.from_pretrained(folder), rank)

    def row(self, history: Sequence[str], answers: Sequence[str]) -> TokenRow:
        """Return prompt and answers as `LanguageModel.encode`; a prompt over the cutoff keeps its end."""
        start = [self.tokenizer.bos_token_id] if self.tokenizer.bos_token_id is not None else []
        prompt = self._encode(self.prompt.text(history))[-self.cutoff_tokens :]
        titles = tuple(self._encode(self.prompt.answer(title)) for title in answers)
        return TokenRow((*start, *prompt), titles)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False).input_ids)
