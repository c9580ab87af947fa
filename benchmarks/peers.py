"""The peers: TRL's trainers, S-DPO on full sequences, transformers' `generate`, the released pipeline."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from tempfile import mkdtemp
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from jaxtyping import Float
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from benchmarks.measure import Step, Work
from benchmarks.ours import count_tokens
from benchmarks.setting import ALPHA, RANK, Setting
from sprec.llm.adapters import ALL_LINEAR
from sprec.llm.token_rows import TokenRow
from sprec.training.objectives import sdpo

RELEASED_TOKENS, RELEASED_BATCH = 128, 64
"""Most new tokens of a title, and titles at a time, in the released self-play."""


@dataclass(frozen=True)
class TrainerSetup:
    """How TRL's trainer is set up: rows per pass, bfloat16 by autocast or weights, reference beforehand.

    `validation_rows` are evaluated after every step. `checkpointing` recomputes activations, as the released
    scripts do. `padding_free` is TRL's switch of that name, which its DPO does not offer.
    """

    batch: int
    autocast: bool = False
    precomputed: bool = False
    validation_rows: int = 0
    checkpointing: bool = False
    padding_free: bool = False


def trl_step(setting: Setting, setup: TrainerSetup) -> Step:
    """Return an optimiser step of TRL's trainer, timed by a callback.

    What surrounds the step (loader, set-up, bookkeeping) is not counted; the log-probabilities of a
    precomputed reference are.
    """
    tokens = count_tokens(setting.encode_rows())
    clock = _StepClock()
    disable_progress_bars()
    trainer = (_dpo_trainer if setting.negatives else _sft_trainer)(setting, setup)
    if setting.bf16 and not setup.autocast:
        _to_bf16(trainer.model)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)

    def run_step() -> Work:
        trainer.train()
        seconds = clock.seconds + getattr(trainer, "reference_seconds", 0.0)
        return Work(
            setting.rows, tokens, seconds + (_validation_seconds(trainer) if setup.validation_rows else 0.0)
        )

    return run_step


def _validation_seconds(trainer: Any) -> float:
    """Return the seconds of a pass over the validation rows."""
    start = time.perf_counter()
    trainer.evaluate()
    return time.perf_counter() - start


class _StepClock(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """The seconds of the last optimiser step."""

    seconds = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Read the clock."""
        self.seconds = time.perf_counter() - self._start


class _TimedDPOTrainer(DPOTrainer):  # type: ignore[misc, unused-ignore]
    """TRL's trainer, which also times its precomputed reference."""

    reference_seconds = 0.0

    def _precompute_ref_logps(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        log_probs = super()._precompute_ref_logps(*args, **kwargs)
        self.reference_seconds += time.perf_counter() - start
        return log_probs


def _sft_trainer(setting: Setting, setup: TrainerSetup) -> Any:
    data = [{"prompt": text.prompt, "completion": text.answers[0]} for text in setting.texts()]
    # TRL refuses a cutoff together with `padding_free`.
    flat = {"max_length": None, "padding_free": True} if setup.padding_free else {}
    options = SFTConfig(**_options(setting, setup) | flat, completion_only_loss=True)
    return SFTTrainer(_load_base(setting), options, **_datasets(data, setup), **_model_arguments(setting))


def _dpo_trainer(setting: Setting, setup: TrainerSetup) -> Any:
    data = [
        {"prompt": text.prompt, "chosen": text.answers[0], "rejected": text.answers[1]}
        for text in setting.texts()
    ]
    reference: dict[str, Any] = {
        "precompute_ref_log_probs": setup.precomputed,
        "precompute_ref_batch_size": 2 * setup.batch,
    }
    options = DPOConfig(**_options(setting, setup), **reference, beta=0.1)
    return _TimedDPOTrainer(
        _load_base(setting), args=options, **_datasets(data, setup), **_model_arguments(setting)
    )


def _datasets(data: list[dict[str, str]], setup: TrainerSetup) -> dict[str, Any]:
    """Return the training dataset and, where validation rows are asked for, these rows repeated as such."""
    datasets = {"train_dataset": Dataset.from_list(data)}
    if setup.validation_rows:
        repeated = data * -(-setup.validation_rows // len(data))
        datasets["eval_dataset"] = Dataset.from_list(repeated[: setup.validation_rows])
    return datasets


def _model_arguments(setting: Setting) -> dict[str, Any]:
    return {"processing_class": padded_tokenizer(setting), "peft_config": _lora_config()}


def _options(setting: Setting, setup: TrainerSetup) -> dict[str, Any]:
    return {
        "output_dir": mkdtemp(prefix="sprec-bench-"),
        "per_device_train_batch_size": setup.batch,
        "per_device_eval_batch_size": setup.batch,
        "gradient_accumulation_steps": setting.rows // setup.batch,
        "max_steps": 1,
        "learning_rate": 2e-5,
        "bf16": setting.bf16 and setup.autocast,
        "gradient_checkpointing": setup.checkpointing,
        "max_length": 512,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
    }


def padded_tokenizer(setting: Setting) -> Any:
    """Return the model's tokenizer with a token to pad with, which TRL asks for."""
    tokenizer = setting.model.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def _load_base(setting: Setting) -> Any:
    dtype = torch.bfloat16 if setting.bf16 else torch.float32
    return AutoModelForCausalLM.from_pretrained(setting.folder, dtype=dtype)


def _lora_config() -> LoraConfig:
    return LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=ALL_LINEAR, task_type="CAUSAL_LM"
    )


def _to_bf16(model: torch.nn.Module) -> None:
    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16)


def sdpo_step(setting: Setting, batch: int) -> Step:
    """Return an optimiser step of S-DPO as trainers in TRL's style take it: each answer repeats its prompt.

    The reference is the model without adapters, and logits are computed at all positions.
    """
    rows = setting.encode_rows()
    model: Any = get_peft_model(_load_base(setting), _lora_config())
    if setting.bf16:
        _to_bf16(model)
    optimiser = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=2e-5)

    def run_step() -> Work:
        model.train()
        optimiser.zero_grad()
        for start in range(0, len(rows), batch):
            batch_rows = rows[start : start + batch]
            with torch.no_grad(), model.disable_adapter():
                reference = full_log_probs(model, batch_rows)
            loss = sdpo(full_log_probs(model, batch_rows), reference, beta=1.0).sum() / len(rows)
            loss.backward()
        optimiser.step()
        return Work(len(rows), count_tokens(rows))

    return run_step


def full_log_probs(model: Any, rows: Sequence[TokenRow]) -> Float[Tensor, "rows answers"]:
    """Return summed log-probabilities of each answer, from one pass over padded prompts with answers."""
    pairs = [(row.prompt, answer) for row in rows for answer in row.answers]
    sequences = [torch.tensor([*prompt, *answer]) for prompt, answer in pairs]
    tokens = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    positions = torch.arange(tokens.shape[1])
    ends = torch.tensor([len(sequence) for sequence in sequences])[:, None]
    starts = torch.tensor([len(prompt) for prompt, _ in pairs])[:, None]
    logits = model(tokens, attention_mask=(positions < ends).long()).logits[:, :-1].float()
    log_probs = logits.log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    in_answer = (positions >= starts) & (positions < ends)
    scores: Tensor = (log_probs * in_answer[:, 1:]).sum(1).view(len(rows), -1)
    return scores


def generate_titles(setting: Setting, batch: int, *, stopping: bool, merged: bool) -> Step:
    """Return a step of self-play by transformers' `generate`, greedily.

    As released, a title has up to 128 new tokens, only the end of text ends it, and the scores of all tokens
    are returned. `stopping` ends a title where our side does, within as many tokens. `merged` merges the
    adapters into the weights first.
    """
    ours = setting.model
    prompts = sorted((list(row.prompt) for row in setting.encode_rows()), key=len)
    model = model_with_own_adapters(setting, merged=merged)
    ends = ours.tokens.stop_tokens(len(ours.tokenizer)) if stopping else ours.tokenizer.eos_token_id
    released = {
        "max_new_tokens": RELEASED_TOKENS,
        "return_dict_in_generate": True,
        "output_scores": True,
    }
    options = {"max_new_tokens": ours.tokens.longest_title} if stopping else released

    @torch.no_grad()
    def run_step() -> Work:
        for start in range(0, len(prompts), batch):
            tokens, mask = _pad_left(prompts[start : start + batch])
            model.generate(
                input_ids=tokens,
                attention_mask=mask,
                eos_token_id=ends,
                pad_token_id=0,
                do_sample=False,
                **options,
            )
        return Work(len(prompts), sum(map(len, prompts)))

    return run_step


def released_iteration(setting: Setting, *, validation_rows: int) -> Step:
    """Return an iteration as the released scripts run it: titles, SFT, then DPO.

    Batches of 64 titles, 4 SFT rows and 2 DPO pairs, recomputed activations, and `validation_rows` evaluated
    after every optimiser step (256 in the released settings, since `eval_steps` falls back to
    `logging_steps`). What surrounds the steps (new processes, loading, saving, 500 spare titles) is not
    counted, and weights are not 4-bit: all of this favours the peer.
    """
    sft, dpo = (
        TrainerSetup(min(batch, setting.rows), validation_rows=validation_rows, checkpointing=True)
        for batch in (4, 2)
    )
    steps = [
        generate_titles(setting, RELEASED_BATCH, stopping=False, merged=False),
        trl_step(replace(setting, negatives=0), sft),
        trl_step(replace(setting, negatives=1), dpo),
    ]

    def run_step() -> Work:
        seconds = [_step_seconds(step) for step in steps]
        parts = dict(zip(("titles", "sft", "dpo"), seconds, strict=True))
        return Work(setting.rows, 0, sum(seconds), parts)

    return run_step


def _step_seconds(step: Step) -> float:
    """Return the seconds of a step, by its own clock where it has one."""
    start = time.perf_counter()
    work = step()
    return time.perf_counter() - start if work.seconds is None else work.seconds


def _pad_left(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, prompts))
    tokens = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return tokens, mask


def model_with_own_adapters(setting: Setting, *, merged: bool) -> Any:
    """Return the base model with the adapters of our side, merged or beside the weights."""
    model: Any = get_peft_model(_load_base(setting), _lora_config())
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in setting.model.tuned_weights().items():
            weights[name].copy_(value)
    model = model.merge_and_unload() if merged else model
    if setting.bf16:
        _to_bf16(model)
    return model.eval()
