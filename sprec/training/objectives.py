"""Objectives: pure functions of log-probability matrices, one loss per example."""

from typing import Protocol

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Objective(Protocol):
    """Maps summed log-probabilities in nats, chosen answer first, to one loss per example."""

    def __call__(
        self, policy: Float[Tensor, "batch answers"], reference: Float[Tensor, "batch answers"]
    ) -> Float[Tensor, " batch"]:
        """Return the losses; `reference` has no gradient."""
        ...


def sft(
    policy: Float[Tensor, "batch answers"], reference: Float[Tensor, "batch answers"]
) -> Float[Tensor, " batch"]:
    """Return the negative log-likelihood of the chosen answer, in nats per title."""
    return -policy[:, 0]


def dpo(
    policy: Float[Tensor, "batch answers"], reference: Float[Tensor, "batch answers"], *, beta: float
) -> Float[Tensor, " batch"]:
    """Return the loss of direct preference optimisation (Rafailov et al. 2023, eq. 7).

    Columns: the chosen answer, then one rejected. A policy equal to its reference scores log 2 on every row,
    whatever `beta` is; a rejected answer equal to the chosen one has zero gradient.
    """
    delta = policy - reference
    return -F.logsigmoid(beta * (delta[:, 0] - delta[:, 1]))
