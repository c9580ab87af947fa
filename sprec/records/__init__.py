"""What a run leaves behind: run.json, its provenance, and what is tracked elsewhere."""
