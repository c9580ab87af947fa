"""Objectives: pure functions of log-probability matrices, one loss per example.

Δ stands for `policy - reference`: what training added to an answer's log-probability, Δ_w for the chosen
answer, Δ_l for the rejected ones. Where every Δ is 0, `dpo`, `rosepo` and `dmpo` are log 2 and `sdpo` with k
rejected answers is log(1 + k), whatever `beta` is. CFT is `sft` on the score of `Counterfactual`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from jaxtyping import Float

if TYPE_CHECKING:
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
    # `reference` is there so that all objectives are called alike.
    return -policy[:, 0]


def dpo(
    policy: Float[Tensor, "batch answers"], reference: Float[Tensor, "batch answers"], *, beta: float
) -> Float[Tensor, " batch"]:
    """Return the loss of direct preference optimisation (Rafailov et al. 2023, eq. 7).

    Several rejected answers make as many pairs, whose losses are averaged. A rejected answer equal to the
    chosen one has zero gradient. SPIN (Chen et al. 2024, eq. 4.7) is this loss with the previous iterate as
    reference and its answers as rejected ones.
    """
    # In float32 log(sigmoid(x)) would be minus infinity where x is below −104.
    return -torch.nn.functional.logsigmoid(beta * _margins(policy, reference)).mean(1)


def sdpo(
    policy: Float[Tensor, "batch answers"], reference: Float[Tensor, "batch answers"], *, beta: float
) -> Float[Tensor, " batch"]:
    """Return −log σ(−log Σ_l exp(β(Δ_l − Δ_w))) (S-DPO: Chen et al. 2024).

    With one rejected answer it is `dpo`. The hardest negative, of highest Δ_l, has the largest gradient.
    """
    # In float32 a plain sum would overflow where an exponent passes 88.
    return -torch.nn.functional.logsigmoid(-(-beta * _margins(policy, reference)).logsumexp(1))


def dmpo(
    policy: Float[Tensor, "batch answers"],
    reference: Float[Tensor, "batch answers"],
    *,
    beta: float,
    scaled_by_count: bool = False,
) -> Float[Tensor, " batch"]:
    """Return −log σ(βΔ_w − (1/k) Σ_l βΔ_l) (DMPO: Bai et al. 2024); with one rejected answer it is `dpo`.

    `scaled_by_count` multiplies β by k, as the released code does: −log σ(β Σ_l (Δ_w − Δ_l)).
    """
    # Δ_w is the same in all margins, so their mean is Δ_w less the mean of Δ_l.
    margins = _margins(policy, reference)
    return -torch.nn.functional.logsigmoid(beta * (margins.sum(1) if scaled_by_count else margins.mean(1)))


def rosepo(
    policy: Float[Tensor, "batch answers"],
    reference: Float[Tensor, "batch answers"],
    *,
    beta: float,
    epsilon: float,
) -> Float[Tensor, " batch"]:
    """Return −(1−ε) log σ(βm) − ε log σ(−βm) with m = Δ_w − Δ_l (RosePO: Liao et al. 2024).

    The constant `epsilon` is the chance that a label is the wrong way round: the loss is least where
    βm = log((1−ε)/ε), so the margin does not grow without end. Several rejected answers are averaged.
    """
    # The paper has an ε per pair, from an oracle of preferences; a constant one is its simple form.
    margin = beta * _margins(policy, reference)
    log_sigmoid = torch.nn.functional.logsigmoid
    return -((1 - epsilon) * log_sigmoid(margin) + epsilon * log_sigmoid(-margin)).mean(1)


def _margins(
    policy: Float[Tensor, "batch answers"], reference: Float[Tensor, "batch answers"]
) -> Float[Tensor, "batch rejected"]:
    """Return Δ_w − Δ_l of each rejected answer, in nats."""
    delta = policy - reference
    return delta[:, :1] - delta[:, 1:]
