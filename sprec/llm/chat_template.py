"""The chat template that a base LLM was tuned with."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

PINNED = {"enable_thinking": False, "date_string": "26 Jul 2024"}
"""Qwen3's template leaves room to think, Llama 3's has the day's date, by default one that its card names."""


def apply_chat_template(message: str, *, folder: Path, name: str) -> str:
    """Return the text after which the LLM of this folder writes its answer to a user's message.

    `ValueError` naming the LLM `name` where its tokenizer has no chat template.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        raise ValueError(
            f"prompt=chat: the tokenizer of base_llm={name} has no chat template; "
            "use prompt=alpaca or an instruction-tuned base LLM"
        )
    told = [{"role": "user", "content": message}]
    text: str = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True, **PINNED)
    return text
