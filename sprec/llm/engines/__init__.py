"""Engines that compute log-probabilities and hidden states of a language model."""
