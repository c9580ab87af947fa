"""One reader per raw format: file in, interactions or examples out."""
