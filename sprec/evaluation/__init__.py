"""Metrics and the evaluation of a recommender."""
