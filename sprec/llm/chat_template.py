"""The chat template that an instruction-tuned base LLM expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers

PINNED = {"enable_thinking": False, "date_string": "26 Jul 2024"}
"""Fixed inputs of templates: Qwen3's would leave room for thinking, Llama 3's would print today's date."""


def apply_chat_template(message: str, *, folder: Path, name: str) -> str:
    """Return a user's message in the chat template of this folder's tokenizer, ready for the model's answer.

    Raises `ValueError`, which names the LLM `name`, if the tokenizer has no chat template.
    """
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        raise ValueError(
            f"prompt=chat: the tokenizer of base_llm={name} has no chat template; "
            "use prompt=alpaca or an instruction-tuned base LLM"
        )
    messages = [{"role": "user", "content": message}]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **PINNED)
    return text
