"""What an optimiser step reports, under TRL's names where TRL has them."""

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sprec.training import distributed

PREFERENCE = ("logps/chosen", "logps/rejected", "rewards/chosen", "rewards/rejected")
"""Means over a step's pairs: summed log-probabilities in nats, and β times what training added to them."""
MARGINS, ACCURACIES = "rewards/margins", "rewards/accuracies"
"""Chosen over rejected reward, and the share of rejected titles whose reward is below the chosen one's."""


def reward_scale(objective: Callable[..., Tensor]) -> float:
    """Return the β that reported rewards are scaled by: the objective's own, set or its default; 1 without.

    >>> reward_scale(lambda policy, *, beta=0.1: policy), reward_scale(lambda policy: policy)
    (0.1, 1.0)
    """
    known = inspect.signature(objective).parameters
    beta = known["beta"].default if "beta" in known else 1.0
    return 1.0 if beta is inspect.Parameter.empty else float(beta)


def preference_sums(
    policy: Float[Tensor, "rows answers"], reference: Float[Tensor, "rows answers"], *, beta: float
) -> dict[str, float]:
    """Return the sums over rows of what preference tuning reports; several rejected titles are averaged.

    Worked by hand: the chosen title gained 2 nats, the rejected ones lost 1 and gained 3.

    >>> policy, reference = torch.tensor([[-3.0, -6.0, -4.0]]), torch.tensor([[-5.0, -5.0, -7.0]])
    >>> values = preference_sums(policy, reference, beta=0.5)
    >>> values["logps/rejected"], values["rewards/chosen"], values["rewards/rejected"]
    (-5.0, 1.0, 0.5)
    >>> values["rewards/margins"], values["rewards/accuracies"]
    (0.5, 0.5)
    """
    policy, reference = policy.detach().double(), reference.double()
    rewards = beta * (policy - reference)
    chosen, rejected = rewards[:, 0], rewards[:, 1:].mean(1)
    columns = (policy[:, 0], policy[:, 1:].mean(1), chosen, rejected)
    wins = (rewards[:, :1] > rewards[:, 1:]).double().mean(1)
    named = {**dict(zip(PREFERENCE, columns, strict=True)), MARGINS: chosen - rejected, ACCURACIES: wins}
    return {name: float(values.sum()) for name, values in named.items()}


def sum_values(groups: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Return each value summed over a step's groups of rows, and over all processes; none counts as 0."""
    own = [sum(group.get(name, 0.0) for group in groups) for name in names]
    totals = distributed.sum_over_processes(torch.tensor(own, dtype=torch.float64)).tolist()
    return dict(zip(names, totals, strict=True))
