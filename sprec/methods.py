"""SPRec's loop (Gao et al. 2025, algorithm 1): the file to read first."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from sprec.llm.decoding import Decoding
from sprec.training.negatives import NegativeSampler
from sprec.training.stages import Stages, State
from sprec.training.tuner import Schedule


@dataclass(frozen=True)
class Method:
    """What one arm does: which steps an iteration has, where its rejected titles come from, and its loss."""

    iterations: int
    with_sft: bool
    with_dpo: bool
    keep_equal: bool
    objective: partial[Tensor]  # of log-probabilities, as `Objective`
    negatives: NegativeSampler
    decoding: Decoding
    initial: Schedule
    sft: Schedule
    dpo: Schedule

    def states(self, stages: Stages, base: State) -> Iterator[tuple[str, int, State]]:
        """Yield the model after the initial SFT and after each iteration."""
        model = stages.sft(base, 0, self.initial)
        yield "initial_sft", 0, model
        for iteration in range(1, self.iterations + 1):
            previous = model
            if self.with_sft:
                model = stages.sft(model, iteration, self.sft)
            if self.with_dpo:
                pairs = stages.negatives(
                    previous, iteration, self.negatives, self.decoding, keep_equal=self.keep_equal
                )
                model = stages.dpo(model, pairs, iteration, self.dpo, self.objective)
            yield f"iteration_{iteration}", iteration, model
