"""The base LLM: weights, batches, decoding and grounding."""
