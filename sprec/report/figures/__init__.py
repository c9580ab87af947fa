"""Figures from run records."""
