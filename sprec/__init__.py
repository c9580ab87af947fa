"""sprec: repeatable research on LLM-based recommendation."""
