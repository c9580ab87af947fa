"""What SFT and preference tuning have in common: from texts to a trained policy and its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from jaxtyping import Float

from sprec.data.prompts import Step
from sprec.llm.adapters import without_dropout
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow
from sprec.seeds import derive_seed, stream
from sprec.store.code_digest import remember_code
from sprec.training.checkpoint import TrainingCheckpoint
from sprec.training.context import ModelState, StageContext
from sprec.training.counterfactual import Counterfactual, linear_weights
from sprec.training.log_probs import compute_log_probs
from sprec.training.objectives import Objective
from sprec.training.row_sampling import HistoryWithAnswers, encode_rows, with_targets
from sprec.training.schedule import Schedule
from sprec.training.training_rows import TrainingRows

if TYPE_CHECKING:
    from torch import Tensor

CURVE, DROPS = "curve.parquet", "drops.json"
"""Files of a stage: its losses per step, and how many rows or titles it dropped."""


def train_policy(
    context: StageContext,
    policy: ModelState,
    pairs: Sequence[HistoryWithAnswers],
    objective: Objective,
    schedule: Schedule,
    label: str,
    folder: Path,
    *,
    step: Step,
    counterfactual: Counterfactual | None = None,
    checkpoints: Path | None = None,
    **options: Any,
) -> None:
    """Train the policy and write its weights, curve and drops into the folder.

    Args:
        context: what all stages share.
        policy: the model that is trained on; with several answers it is also the reference.
        pairs: histories and their answers, the chosen one first.
        objective: from log-probabilities to losses.
        schedule: epochs, batches, learning rate.
        label: names the random streams.
        folder: where the files go.
        step: which prompt is used.
        counterfactual: adds the effect of the history to a title's likelihood.
        checkpoints: folder of what a killed stage goes on from.
        options: weights of the rows, as in `TrainingRows`.
    """
    from sprec.training.trainer import fine_tune  # lightning: stored stages do without it

    remember_code()  # before hours of training, in which somebody may edit what was imported just now
    model, data = context.model.load(policy.folder), context.dataset
    encode = partial(encode_rows, model, data.catalog, step=step, loss_on=schedule.loss_on)
    rows = encode(pairs)
    without_history: list[TokenRow] = []
    if counterfactual:
        without_history = encode([((), answers) for _, answers in pairs], loss_on="title")
        options |= {"scorer": counterfactual.scorer(model, rows, without_history)}
        schedule = replace(schedule, batch_tokens=schedule.batch_tokens // 2)  # a pass reads each row twice
    if schedule.loss_per == "token":
        options |= {"token_counts": count_predicted_tokens(rows, counterfactual, without_history)}
    # Now, since training changes these very weights in place.
    reference = _score_reference(model, rows, batch_tokens=context.eval_batch_tokens)
    drops = model.tokens.count_truncated()  # of what is trained on: validation rows are read below
    if schedule.eval_every:
        options |= _validation_options(model, with_targets(data.split.valid), encode, counterfactual)
    # The reference has no dropout: with it in the policy alone, margins would begin at noise and not at 0.
    with without_dropout(model.network) if step == "dpo" else nullcontext():
        curve = fine_tune(
            model,
            TrainingRows(rows, reference, **options),
            objective,
            schedule,
            rng=stream(context.seed, label, "order"),
            torch_seed=derive_seed(context.seed, label, "dropout"),
            label=label,
            trainer=context.trainer,
            checkpoint=TrainingCheckpoint(checkpoints, context.checkpoint_minutes),
            on_step=partial(context.on_step, label),
        )
    model.save(folder)
    # All rows say which columns there are: few steps have a validation loss.
    pl.DataFrame(curve, infer_schema_length=None).write_parquet(folder / CURVE)
    write_drops(folder, drops)


def _validation_options(
    model: LanguageModel,
    pairs: Sequence[HistoryWithAnswers],
    encode: Callable[..., list[TokenRow]],
    counterfactual: Counterfactual | None,
) -> dict[str, Any]:
    """Return the validation rows, and the score and divisor of the loss by which they choose weights."""
    rows = encode(pairs)
    if counterfactual is None:
        return {"validation": rows}
    without_history = encode([((), answers) for _, answers in pairs], loss_on="title")
    return {
        "validation": rows,
        "validation_scorer": counterfactual.scorer(model, rows, without_history),
        "validation_tokens": float(count_predicted_tokens(rows, counterfactual, without_history).sum()),
    }


def _score_reference(
    model: LanguageModel, rows: Sequence[TokenRow], *, batch_tokens: int
) -> Float[Tensor, "rows answers"]:
    """Return the reference's log-probabilities; of SFT's rows, which have one answer, zeros."""
    if len(rows[0].answers) == 1:
        return torch.zeros(len(rows), 1)
    return compute_log_probs(model, rows, batch_tokens=batch_tokens)


def count_predicted_tokens(
    rows: Sequence[TokenRow], counterfactual: Counterfactual | None, without_history: Sequence[TokenRow]
) -> Float[Tensor, " rows"]:
    """Return how many tokens each row predicts; those of a title that CFT weighs count as their weights."""
    counts = torch.tensor([float(len(row.answers[0])) for row in rows])
    if counterfactual is None:
        return counts
    titles = [len(row.answers[0]) for row in without_history]
    weights = [float(linear_weights(tokens, counterfactual.last_token_weight).sum()) for tokens in titles]
    return counts - torch.tensor(titles) + torch.tensor(weights)


def write_drops(folder: Path, drops: Mapping[str, int]) -> None:
    """Write how many rows or titles a stage dropped, by reason."""
    (folder / DROPS).write_text(json.dumps(drops))
