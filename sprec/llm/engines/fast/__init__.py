"""The fast engine: shared-prompt packing and attention by blocks; README.md says what each part gives."""

from typing import Any

from sprec.llm.engines.interface import ModelEngine

__all__ = ["install"]


def install(base_model: Any) -> ModelEngine:
    """Return the fast engine of a model; registers its attention with transformers and changes no more."""
    # It imports transformers' modelling code, which takes seconds: stored stages do without it.
    from sprec.llm.engines.fast.packed_engine import PackedEngine

    return PackedEngine(base_model)
