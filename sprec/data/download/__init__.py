"""Where raw files come from: wheels, archives, folders."""
