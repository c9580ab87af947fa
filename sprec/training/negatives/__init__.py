"""Negative samplers: which titles an example's answer is preferred to."""

from sprec.training.negatives.base import Material, NegativeSampler, told
from sprec.training.negatives.batch import InBatch
from sprec.training.negatives.drawn import Popular, Random
from sprec.training.negatives.exposure import Balanced, Exposure
from sprec.training.negatives.hidden import Ches
from sprec.training.negatives.mixture import Mixture
from sprec.training.negatives.pairs import paired
from sprec.training.negatives.semantic import Semantic
from sprec.training.negatives.written import Beams, Grounded, SelfPlay

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
