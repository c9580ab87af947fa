"""The fast engine: shared-prompt packing and attention by blocks."""
