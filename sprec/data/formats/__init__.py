"""Layouts that raw files come in, whatever the dataset."""
