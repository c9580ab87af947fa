"""Negative samplers: which titles an example's answer is preferred to."""

# A name that is imported as itself is one to import from here.
from sprec.generation.model_work import ModelWork as ModelWork
from sprec.negatives.base import NegativeSampler as NegativeSampler
from sprec.negatives.base import SamplerContext as SamplerContext
from sprec.negatives.base import describe_sampler as describe_sampler
from sprec.negatives.ches import Ches as Ches
from sprec.negatives.exposure import Balanced as Balanced
from sprec.negatives.exposure import Exposure as Exposure
from sprec.negatives.in_batch import InBatch as InBatch
from sprec.negatives.mixture import Mixture as Mixture
from sprec.negatives.preference_pairs import build_pairs as build_pairs
from sprec.negatives.random import Popular as Popular
from sprec.negatives.random import Random as Random
from sprec.negatives.self_play import Beams as Beams
from sprec.negatives.self_play import GroundedSelfPlay as GroundedSelfPlay
from sprec.negatives.self_play import SelfPlay as SelfPlay
from sprec.negatives.semantic import Semantic as Semantic
