"""Negative samplers: which titles an example's answer is preferred to."""

from sprec.negatives.base import Material, NegativeSampler, told
from sprec.negatives.ches import Ches
from sprec.negatives.exposure import Balanced, Exposure
from sprec.negatives.in_batch import InBatch
from sprec.negatives.mixture import Mixture
from sprec.negatives.preference_pairs import paired
from sprec.negatives.random import Popular, Random
from sprec.negatives.self_play import Beams, Grounded, SelfPlay
from sprec.negatives.semantic import Semantic

__all__ = [
    "Balanced",
    "Beams",
    "Ches",
    "Exposure",
    "Grounded",
    "InBatch",
    "Material",
    "Mixture",
    "NegativeSampler",
    "Popular",
    "Random",
    "SelfPlay",
    "Semantic",
    "paired",
    "told",
]
