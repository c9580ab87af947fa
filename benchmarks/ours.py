"""Our side of each contest."""

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
from sprec.experiment.build import build
from sprec.generation.decoding import Greedy, complete
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow, microbatches
from sprec.store.store import Store
from sprec.training import trainer
from sprec.training.context import ModelState
from sprec.training.objectives import Objective, dpo, sdpo, sft
from sprec.training.row_sampling import RowSampling
from sprec.training.stages import Stages

OWN, RELEASED = "own", "released"
"""Folders of adapters: those that write a title and end, and those that the released SFT makes."""


def objective(negatives: int) -> Objective:
    """Return the loss for so many negatives: SFT, DPO, S-DPO."""
    if not negatives:
        return sft
    return partial(dpo, beta=0.1) if negatives == 1 else partial(sdpo, beta=1.0)


def width(rows: Sequence[TokenRow]) -> int:
    """Return the tokens of prompts and answers."""
    return sum(len(row.prompt) + sum(map(len, row.answers)) for row in rows)


def step(setting: Setting) -> Step:
    """Return a whole optimiser step: reference log-probabilities where the loss has any, gradient, AdamW."""
    return _step(setting, setting.encoded(), adamw(setting.model))


def adamw(model: LanguageModel) -> Optimizer:
    """Return the optimiser of the tuned weights, as runs have one for each stage."""
    weights = [weight for weight in model.network.parameters() if weight.requires_grad]
    return trainer.adamw(trainer.settled(weights), 2e-5)


def _step(setting: Setting, rows: list[TokenRow], optimiser: Optimizer) -> Step:
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
    """Return the optimiser step on these rows, with the loss for so many answers."""
    negatives = len(rows[0].answers) - 1
    loss = objective(negatives)
    weights = optimiser.param_groups[0]["params"]

    def take() -> Work:
        reference = (
            trainer.reference_log_probs(model, rows, batch_tokens=eval_batch_tokens)
            if negatives
            else torch.zeros(len(rows), 1)
        )
        model.network.train()
        optimiser.zero_grad(set_to_none=False)
        for group in microbatches([row.width for row in rows], batch_tokens):
            _backward(model, [rows[i] for i in group], reference[group], loss, len(rows))
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        return Work(len(rows), width(rows))

    return take


def _backward(
    model: LanguageModel, rows: list[TokenRow], reference: Tensor, loss: Objective, count: int
) -> None:
    """Add the gradient of some of `count` rows; as in a run, nothing of the pass outlives it."""
    policy = model.log_probs(rows)
    (loss(policy, reference.to(policy.device)).sum() / count).backward()


def titles(setting: Setting) -> Step:
    """Return self-play: one greedy title for each prompt."""
    model, prompts = setting.model, [row.prompt for row in setting.encoded()]

    def write() -> Work:
        written = complete(
            model,
            prompts,
            Greedy(),
            np.random.default_rng(0),
            batch_tokens=setting.settings.trainer.eval_batch_tokens,
        )
        assert len(written) == len(prompts)
        return Work(len(prompts), sum(map(len, prompts)))

    return write


def iteration(setting: Setting) -> Step:
    """Return one iteration of SPRec through the stages of a run: titles, SFT, DPO, each stored."""
    engine, method = setting.engine, build(setting.settings).method
    assert isinstance(method, SelfPlayAlgorithm)
    split = replace(engine.dataset.split, train=engine.dataset.split.train.take(setting.numbers))
    engine = replace(engine, dataset=replace(engine.dataset, split=split))
    previous = ModelState("tuned", setting.tuned)

    def take() -> Work:
        with tempfile.TemporaryDirectory(prefix="sprec-bench-") as place:
            stages = Stages(engine, Store(Path(place)), RowSampling(None, None), done=lambda *_: None)
            model = stages.sft(previous, 1, method.sft)
            pairs = stages.negatives(
                previous, 1, method.negatives, method.decoding, keep_pairs_equal_to_target=True
            )
            stages.dpo(model, pairs, 1, method.dpo, method.objective)
        return Work(setting.rows, 0)

    return take


def teach(setting: Setting, folder: Path, steps: int) -> Step:
    """Return a step that tunes two models until they write titles, and saves their adapters.

    In `OWN` titles alone are learned, in `RELEASED` what the released SFT learns, which is no end.
    """
    model = setting.model

    def take() -> Work:
        for name, rows in ((OWN, setting.encoded()), (RELEASED, setting.released())):
            _tuned(model.load(None), rows, steps, setting.settings.trainer.batch_tokens)
            (folder / name).mkdir()
            model.save(folder / name)
        return Work(2 * setting.rows, 0)

    return take


def _tuned(model: LanguageModel, rows: list[TokenRow], steps: int, tokens: int) -> None:
    optimiser = torch.optim.AdamW([w for w in model.network.parameters() if w.requires_grad], lr=1e-3)
    size = -(-len(rows) // steps)
    for start in range(0, len(rows), size):
        _fit(model, optimiser, rows[start : start + size], tokens)


def _fit(model: LanguageModel, optimiser: Optimizer, rows: list[TokenRow], tokens: int) -> None:
    model.network.train()
    optimiser.zero_grad()
    for group in microbatches([row.width for row in rows], tokens):
        _backward(model, [rows[i] for i in group], torch.zeros(len(group), 1), sft, len(rows))
    optimiser.step()


def over_rows(setting: Setting, sizes: Sequence[int]) -> Step:
    """Return steps of so many rows each, one after the other, with one optimiser as in a run."""
    rows, optimiser = setting.encoded(), adamw(setting.model)
    return in_turn([_step(setting, rows[:size], optimiser) for size in sizes])


def over_negatives(setting: Setting, sizes: Sequence[int]) -> Step:
    """Return steps with so many negatives each, one after the other, with one optimiser as in a run."""
    optimiser = adamw(setting.model)
    rows = [[TokenRow(row.prompt, row.answers[: size + 1]) for row in setting.encoded()] for size in sizes]
    return in_turn([_step(setting, part, optimiser) for part in rows])


def in_turn(steps: Sequence[Step]) -> Step:
    """Return a step that takes the given ones one after the other."""
    left = iter(steps)
    return lambda: next(left)()
