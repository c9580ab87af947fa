"""Our side of each contest: optimiser steps, writing titles, a whole iteration."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmarks.measure import Step, Work
from benchmarks.setting import Setting
from sprec.algorithm import SelfPlayAlgorithm
from sprec.experiment.build import build_components
from sprec.generation.decoding import Greedy, write_titles
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow, microbatches
from sprec.store.store import Store
from sprec.training import log_probs, schedule, trainer
from sprec.training.context import ModelState
from sprec.training.objectives import Objective, dpo, sdpo, sft
from sprec.training.row_sampling import RowSampling
from sprec.training.stages import Stages

OWN, RELEASED = "own", "released"
"""Folders of adapters: those that end a title, and those that the released SFT makes."""


def objective_for(negatives: int) -> Objective:
    """Return the loss for a number of negatives: SFT (0), DPO (1) or S-DPO."""
    if not negatives:
        return sft
    return partial(dpo, beta=0.1) if negatives == 1 else partial(sdpo, beta=1.0)


def count_tokens(rows: Sequence[TokenRow]) -> int:
    """Return the number of tokens of all prompts and answers."""
    return sum(len(row.prompt) + sum(map(len, row.answers)) for row in rows)


def optimiser_step(setting: Setting) -> Step:
    """Return a whole optimiser step: reference log-probabilities where the loss uses any, gradient, AdamW."""
    return _step_on_rows(setting, setting.encode_rows(), adamw(setting.model))


def adamw(model: LanguageModel) -> Optimizer:
    """Return the optimiser of the tuned weights, set up as a stage of a run does."""
    weights = [weight for weight in model.network.parameters() if weight.requires_grad]
    return schedule.adamw(trainer.preallocate_gradients(weights), 2e-5)


def _step_on_rows(setting: Setting, rows: list[TokenRow], optimiser: Optimizer) -> Step:
    tokens = setting.settings.trainer
    return training_step(
        *(setting.model, rows, optimiser),
        batch_tokens=tokens.batch_tokens,
        eval_batch_tokens=tokens.eval_batch_tokens,
    )


def training_step(
    model: LanguageModel,
    rows: list[TokenRow],
    optimiser: Optimizer,
    *,
    batch_tokens: int,
    eval_batch_tokens: int,
) -> Step:
    """Return the optimiser step on these rows, with the loss that fits their number of answers.

    Args:
        model: the model in tuning.
        rows: rows of a prompt and its answers, the true one first.
        optimiser: of the tuned weights.
        batch_tokens: most tokens of a pass with gradients.
        eval_batch_tokens: most tokens of a pass without.

    """
    negatives = len(rows[0].answers) - 1
    loss = objective_for(negatives)
    weights = optimiser.param_groups[0]["params"]

    def run_step() -> Work:
        reference = (
            log_probs.compute_log_probs(model, rows, batch_tokens=eval_batch_tokens)
            if negatives
            else torch.zeros(len(rows), 1)
        )
        model.network.train()
        optimiser.zero_grad(set_to_none=False)
        for group in microbatches([row.width for row in rows], batch_tokens):
            _backward(model, [rows[i] for i in group], reference[group], loss, len(rows))
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        return Work(len(rows), count_tokens(rows))

    return run_step


def _backward(
    model: LanguageModel, rows: list[TokenRow], reference: Tensor, loss: Objective, count: int
) -> None:
    """Add the gradient of these out of `count` rows.

    A function of its own, so that a pass's tensors are freed before the next, as in a run.
    """
    policy = model.log_probs(rows)
    (loss(policy, reference.to(policy.device)).sum() / count).backward()


def self_play_step(setting: Setting) -> Step:
    """Return a step of self-play: one greedy title for each prompt."""
    model, prompts = setting.model, [row.prompt for row in setting.encode_rows()]

    def write() -> Work:
        titles = write_titles(
            model,
            prompts,
            Greedy(),
            np.random.default_rng(0),
            batch_tokens=setting.settings.trainer.eval_batch_tokens,
        )
        assert len(titles) == len(prompts)
        return Work(len(prompts), sum(map(len, prompts)))

    return write


def sprec_iteration(setting: Setting) -> Step:
    """Return one iteration of SPRec through the stages of a run: titles, SFT and DPO, each stored."""
    engine, method = setting.engine, build_components(setting.settings).method
    assert isinstance(method, SelfPlayAlgorithm)
    split = replace(engine.dataset.split, train=engine.dataset.split.train.take(setting.row_numbers))
    engine = replace(engine, dataset=replace(engine.dataset, split=split))
    previous = ModelState("tuned", setting.tuned)

    def run_step() -> Work:
        with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
            stages = Stages(engine, Store(Path(place)), RowSampling(None, None), on_result=lambda *_: None)
            model = stages.sft(previous, 1, method.sft)
            pairs = stages.negatives(
                previous, 1, method.negatives, method.decoding, keep_pairs_equal_to_target=True
            )
            stages.dpo(model, pairs, 1, method.dpo, method.objective)
        return Work(setting.rows, 0)

    return run_step


def tune_adapters(setting: Setting, folder: Path, steps: int) -> Step:
    """Return a step that tunes two sets of adapters until they write titles, and saves them in `folder`.

    `OWN` learns titles and their end; `RELEASED` learns what the released SFT teaches, in which no title
    ends.
    """
    model = setting.model

    def run_step() -> Work:
        for name, rows in ((OWN, setting.encode_rows()), (RELEASED, setting.encode_released_rows())):
            _tune(model.load(None), rows, steps, setting.settings.trainer.batch_tokens)
            (folder / name).mkdir()
            model.save(folder / name)
        return Work(2 * setting.rows, 0)

    return run_step


def _tune(model: LanguageModel, rows: list[TokenRow], steps: int, batch_tokens: int) -> None:
    optimiser = torch.optim.AdamW([w for w in model.network.parameters() if w.requires_grad], lr=1e-3)
    size = -(-len(rows) // steps)
    for start in range(0, len(rows), size):
        _fit_batch(model, optimiser, rows[start : start + size], batch_tokens)


def _fit_batch(model: LanguageModel, optimiser: Optimizer, rows: list[TokenRow], batch_tokens: int) -> None:
    model.network.train()
    optimiser.zero_grad()
    for group in microbatches([row.width for row in rows], batch_tokens):
        _backward(model, [rows[i] for i in group], torch.zeros(len(group), 1), sft, len(rows))
    optimiser.step()


def steps_over_rows(setting: Setting, sizes: Sequence[int]) -> Step:
    """Return steps on the first rows of each size, one size a call, with one optimiser as in a run."""
    rows, optimiser = setting.encode_rows(), adamw(setting.model)
    return take_in_turn([_step_on_rows(setting, rows[:size], optimiser) for size in sizes])


def steps_over_negatives(setting: Setting, sizes: Sequence[int]) -> Step:
    """Return steps with each number of negatives, one number a call, with one optimiser as in a run."""
    optimiser = adamw(setting.model)
    batches = [
        [TokenRow(row.prompt, row.answers[: size + 1]) for row in setting.encode_rows()] for size in sizes
    ]
    return take_in_turn([_step_on_rows(setting, rows, optimiser) for rows in batches])


def take_in_turn(steps: Sequence[Step]) -> Step:
    """Return a step whose calls run these steps one after the other."""
    remaining = iter(steps)
    return lambda: next(remaining)()
