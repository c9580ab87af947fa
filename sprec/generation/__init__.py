"""Titles from a language model: decoding, beam search, grounding, rankers."""
