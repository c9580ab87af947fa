"""From raw files to examples: catalogues, splits, prompts and where the bytes come from."""
