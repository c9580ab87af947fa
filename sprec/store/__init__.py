"""Content-addressed stages, and files that are written whole."""
