"""Objectives, negatives, the Lightning module and the stages that use them."""
