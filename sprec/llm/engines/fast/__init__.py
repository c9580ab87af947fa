"""The fast engine: shared-prompt packing and attention by blocks; README.md says what each part gives."""

from sprec.llm.engines.fast.packed_engine import install

__all__ = ["install"]
