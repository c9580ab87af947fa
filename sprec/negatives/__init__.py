"""Negative samplers: which titles an example's answer is preferred to."""

from sprec.generation.model_work import ModelWork
from sprec.negatives.base import NegativeSampler, SamplerContext, describe_sampler
from sprec.negatives.ches import Ches
from sprec.negatives.exposure import Balanced, Exposure
from sprec.negatives.in_batch import InBatch
from sprec.negatives.mixture import Mixture
from sprec.negatives.preference_pairs import build_pairs
from sprec.negatives.random import Popular, Random
from sprec.negatives.self_play import Beams, GroundedSelfPlay, SelfPlay
from sprec.negatives.semantic import Semantic

__all__ = [
    "Balanced",
    "Beams",
    "Ches",
    "Exposure",
    "GroundedSelfPlay",
    "InBatch",
    "Mixture",
    "ModelWork",
    "NegativeSampler",
    "Popular",
    "Random",
    "SamplerContext",
    "SelfPlay",
    "Semantic",
    "build_pairs",
    "describe_sampler",
]
