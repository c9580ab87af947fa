"""Measures the engine against what users would otherwise run, and against what the processor can do."""
