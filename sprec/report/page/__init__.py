"""One HTML page about some runs."""
