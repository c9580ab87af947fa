"""`python -m benchmarks.trl_parity`: SFT and DPO beside TRL, step by step, in float32.

Both sides have the same base weights, adapters, tokens, order of rows, rate, warm-up and clipping. What is
compared is each step's loss and its gradient norm before clipping.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from rich.console import Console
from rich.table import Table
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from benchmarks.peers import model_with_own_adapters, padded_tokenizer
from benchmarks.setting import Setting, default_settings
from sprec.llm.token_rows import TokenRow
from sprec.training.log_probs import compute_log_probs
from sprec.training.objectives import dpo, sft
from sprec.training.policy_training import count_predicted_tokens
from sprec.training.schedule import Schedule
from sprec.training.trainer import fine_tune
from sprec.training.training_rows import TrainingRows

BETA, WARMUP_STEPS, CLIP_NORM = 0.1, 3, 1.0
TOLERANCE = 1e-3
"""Of losses in nats, and of gradient norms relative to TRL's."""
IGNORED_LABEL = -100
"""What TRL does not predict."""


@dataclass(frozen=True)
class Curve:
    """Loss in nats and gradient norm before clipping, one of each per optimiser step."""

    losses: list[float]
    norms: list[float]


@dataclass(frozen=True)
class Parity:
    """Both sides' curves of one objective."""

    name: str
    ours: Curve
    trl: Curve

    @property
    def loss_difference(self) -> float:
        """The largest difference of a step's losses, in nats."""
        return float(np.abs(np.subtract(self.ours.losses, self.trl.losses)).max())

    @property
    def norm_difference(self) -> float:
        """The largest difference of a step's gradient norms, relative to TRL's."""
        return float(np.abs(np.divide(self.ours.norms, self.trl.norms) - 1).max())

    @property
    def holds(self) -> bool:
        """Whether both sides agree at every step."""
        return max(self.loss_difference, self.norm_difference) <= TOLERANCE


def compare_with_trl(setting: Setting, *, batch_rows: int, learning_rate: float) -> Parity:
    """Return both sides' curves over one pass through the setting's rows: SFT, or DPO with a negative.

    Both read the rows in the order that our schedule draws.
    """
    rows = setting.encode_rows()
    steps = -(-len(rows) // batch_rows)
    schedule = Schedule(
        epochs=1,
        batch_rows=batch_rows,
        learning_rate=learning_rate,
        warmup_steps=WARMUP_STEPS,
        clip_norm=CLIP_NORM,
        batch_tokens=setting.settings.trainer.batch_tokens,
        loss_per="token",
        warmup_from_zero=True,  # as Hugging Face's schedules
    )
    order = [number for batch in schedule.batches(len(rows), np.random.default_rng(0)) for number in batch]
    trl = _trl_curve(setting, [rows[number] for number in order], schedule, steps)  # before ours changes them
    ours = _own_curve(setting, rows, schedule)
    return Parity("DPO" if setting.negatives else "SFT", ours, trl)


def _own_curve(setting: Setting, rows: list[TokenRow], schedule: Schedule) -> Curve:
    preference = bool(setting.negatives)
    reference = torch.zeros(len(rows), 1)
    if preference:
        reference = compute_log_probs(setting.model, rows, batch_tokens=schedule.batch_tokens)
    counts = None if preference else count_predicted_tokens(rows, None, ())
    curve = fine_tune(
        setting.model,
        TrainingRows(rows, reference, token_counts=counts),
        partial(dpo, beta=BETA) if preference else sft,
        schedule,
        rng=np.random.default_rng(0),
        torch_seed=0,
        label="parity",
        trainer={"accelerator": "cpu", "devices": 1},
    )
    return Curve([step["loss"] for step in curve], [step["grad_norm"] for step in curve])


class _InOrder:
    """Makes a TRL trainer read rows as they come, tokens and all, and keep each step's exact loss."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.losses: list[float] = []

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset  # it holds tokens already

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return SequentialSampler(dataset)

    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        """Return TRL's loss, and keep it: what it logs may be rounded."""
        result = super().compute_loss(*arguments, **options)  # type: ignore[misc]
        loss = result[0] if isinstance(result, tuple) else result
        self.losses.append(float(loss.detach()))
        return result


class _SFTInOrder(_InOrder, SFTTrainer):  # type: ignore[misc, unused-ignore]
    """TRL's SFT on rows of tokens."""


class _DPOInOrder(_InOrder, DPOTrainer):  # type: ignore[misc, unused-ignore]
    """TRL's DPO on rows of tokens."""


def _trl_curve(setting: Setting, rows: Sequence[TokenRow], schedule: Schedule, steps: int) -> Curve:
    disable_progress_bars()
    shared: dict[str, Any] = {
        "output_dir": mkdtemp(prefix="sprec-parity-"),
        "per_device_train_batch_size": schedule.batch_rows,
        "max_steps": steps,
        "learning_rate": schedule.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": schedule.warmup_steps,
        "max_grad_norm": schedule.clip_norm,
        "weight_decay": 0.0,
        "max_length": None,
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "seed": 0,
    }
    model = model_with_own_adapters(setting, merged=False)
    data = [_preference_entry(row) if setting.negatives else _sft_entry(row) for row in rows]
    make: Any = _DPOInOrder if setting.negatives else _SFTInOrder
    options = DPOConfig(**shared, beta=BETA) if setting.negatives else SFTConfig(**shared)
    trainer = make(
        model, args=options, train_dataset=Dataset.from_list(data), processing_class=padded_tokenizer(setting)
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    norms = [float(entry["grad_norm"]) for entry in trainer.state.log_history if "grad_norm" in entry]
    return Curve(trainer.losses, norms)


def _sft_entry(row: TokenRow) -> dict[str, list[int]]:
    prompt, answer = list(row.prompt), list(row.answers[0])
    return {"input_ids": prompt + answer, "labels": [IGNORED_LABEL] * len(prompt) + answer}


def _preference_entry(row: TokenRow) -> dict[str, list[int]]:
    chosen, rejected = row.answers
    return {"prompt_ids": list(row.prompt), "chosen_ids": list(chosen), "rejected_ids": list(rejected)}


def print_parity(parity: Parity, console: Console) -> None:
    """Print each step of both sides, and the largest differences."""
    table = Table(title=f"{parity.name} in float32")
    for head in ("step", "loss ours", "loss TRL", "norm ours", "norm TRL"):
        table.add_column(head, justify="right")
    columns = (parity.ours.losses, parity.trl.losses, parity.ours.norms, parity.trl.norms)
    for number, values in enumerate(zip(*columns, strict=True), 1):
        table.add_row(str(number), *(f"{value:.6f}" for value in values))
    console.print(table)
    console.print(
        f"{parity.name}, {len(parity.ours.losses)} steps: largest difference of losses "
        f"{parity.loss_difference:.1e} nats, of norms {parity.norm_difference:.1e} of TRL's "
        f"({'within' if parity.holds else 'NOT within'} {TOLERANCE:g})",
        soft_wrap=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Console entry; 1 where a step differs by more than the tolerance."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trl_parity", description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2, help="rows of an optimiser step")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="of the default run, such as base_llm=tiny dataset=toy")
    options = parser.parse_args(arguments)
    settings = default_settings(*options.overrides, bf16=False, threads=options.threads)
    torch.set_num_threads(options.threads)
    held = []
    for negatives in (0, 1):
        setting = Setting(settings, options.rows * options.steps, negatives)
        parity = compare_with_trl(setting, batch_rows=options.rows, learning_rate=options.rate)
        print_parity(parity, Console())
        held.append(parity.holds)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
