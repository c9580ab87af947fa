"""Recommenders that are not LLMs."""
