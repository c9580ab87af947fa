"""The other side of each contest: TRL's trainers, S-DPO on full sequences, transformers' `generate`."""

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
from benchmarks.ours import width
from benchmarks.setting import ALPHA, RANK, Setting
from sprec.generation.decoding import TITLE_TOKENS
from sprec.llm.language_model import PROJECTIONS
from sprec.llm.token_rows import TokenRow
from sprec.training.objectives import sdpo

RELEASED_TOKENS, RELEASED_BATCH = 128, 64
"""New tokens of a title at most, and titles at a time, in the released self-play."""


@dataclass(frozen=True)
class Way:
    """How a trainer is set up: rows per pass, bfloat16 by autocast or weights, reference beforehand.

    `validated` rows are read after every step. `checkpointing` computes activations again, as the released
    scripts do. `kept` gives its process our setting of the C library. `flat` rows follow each other without
    padding (TRL's `padding_free`), which its DPO has not.
    """

    batch: int
    autocast: bool = False
    precomputed: bool = False
    validated: int = 0
    checkpointing: bool = False
    kept: bool = False
    flat: bool = False


def trl(setting: Setting, way: Way) -> Step:
    """Return an optimiser step of TRL's trainer, timed by its own callback.

    What surrounds the step (loader, optimiser, bookkeeping) is not counted; log-probabilities of a
    precomputed reference are.
    """
    setting = setting if way.kept else setting.plain()
    tokens = width(setting.encoded())
    clock = _Clock()
    disable_progress_bars()
    trainer = (_dpo if setting.negatives else _sft)(setting, way)
    if setting.bf16 and not way.autocast:
        _halve(trainer.model)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)

    def take() -> Work:
        trainer.train()
        seconds = clock.seconds + getattr(trainer, "reference_seconds", 0.0)
        return Work(setting.rows, tokens, seconds + (_validation(trainer) if way.validated else 0.0))

    return take


def _validation(trainer: Any) -> float:
    """Return the seconds of a pass over the validation rows."""
    start = time.perf_counter()
    trainer.evaluate()
    return time.perf_counter() - start


class _Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """The seconds of the last optimiser step."""

    seconds = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Read the clock."""
        self.seconds = time.perf_counter() - self._start


class _Timed(DPOTrainer):  # type: ignore[misc, unused-ignore]
    """TRL's trainer that knows how long its reference took."""

    reference_seconds = 0.0

    def _precompute_ref_logps(self, *given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        found = super()._precompute_ref_logps(*given, **named)
        self.reference_seconds += time.perf_counter() - start
        return found


def _sft(setting: Setting, way: Way) -> Any:
    data = [{"prompt": text.prompt, "completion": text.answers[0]} for text in setting.texts()]
    cut = {"max_length": None, "padding_free": True} if way.flat else {}  # TRL cuts no row of these
    options = SFTConfig(**_options(setting, way) | cut, completion_only_loss=True)
    return SFTTrainer(_base(setting), options, **_rows(data, way), **_shared(setting))


def _dpo(setting: Setting, way: Way) -> Any:
    data = [
        {"prompt": text.prompt, "chosen": text.answers[0], "rejected": text.answers[1]}
        for text in setting.texts()
    ]
    reference: dict[str, Any] = {
        "precompute_ref_log_probs": way.precomputed,
        "precompute_ref_batch_size": 2 * way.batch,
    }
    options = DPOConfig(**_options(setting, way), **reference, beta=0.1)
    return _Timed(_base(setting), args=options, **_rows(data, way), **_shared(setting))


def _rows(data: list[dict[str, str]], way: Way) -> dict[str, Any]:
    """Return training rows and, where there are any, validation rows."""
    several = data * -(-way.validated // len(data))
    read = {"train_dataset": data} | ({"eval_dataset": several[: way.validated]} if way.validated else {})
    return {name: Dataset.from_list(rows) for name, rows in read.items()}


def _shared(setting: Setting) -> dict[str, Any]:
    return {"processing_class": _tokenizer(setting), "peft_config": _lora()}


def _options(setting: Setting, way: Way) -> dict[str, Any]:
    return {
        "output_dir": mkdtemp(prefix="sprec-bench-"),
        "per_device_train_batch_size": way.batch,
        "per_device_eval_batch_size": way.batch,
        "gradient_accumulation_steps": setting.rows // way.batch,
        "max_steps": 1,
        "learning_rate": 2e-5,
        "bf16": setting.bf16 and way.autocast,
        "gradient_checkpointing": way.checkpointing,
        "max_length": 512,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
    }


def _tokenizer(setting: Setting) -> Any:
    tokenizer = setting.model.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def _base(setting: Setting) -> Any:
    dtype = torch.bfloat16 if setting.bf16 else torch.float32
    return AutoModelForCausalLM.from_pretrained(setting.folder, dtype=dtype)


def _lora() -> LoraConfig:
    return LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM"
    )


def _halve(model: torch.nn.Module) -> None:
    for weight in model.parameters():
        weight.data = weight.data.to(torch.bfloat16)


def sdpo_full(setting: Setting, batch: int) -> Step:
    """Return an optimiser step of S-DPO as TRL-style trainers take it: each answer repeats its prompt.

    The reference is the model without adapters, and all positions have logits.
    """
    setting = setting.plain()
    rows = setting.encoded()
    model: Any = get_peft_model(_base(setting), _lora())
    if setting.bf16:
        _halve(model)
    optimiser = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=2e-5)

    def take() -> Work:
        model.train()
        optimiser.zero_grad()
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            with torch.no_grad(), model.disable_adapter():
                reference = full_log_probs(model, part)
            loss = sdpo(full_log_probs(model, part), reference, beta=1.0).sum() / len(rows)
            loss.backward()
        optimiser.step()
        return Work(len(rows), width(rows))

    return take


def full_log_probs(model: Any, rows: Sequence[TokenRow]) -> Float[Tensor, "rows answers"]:
    """Return summed log-probabilities from padded full sequences, prompt and answer each, all in one pass."""
    pairs = [(row.prompt, answer) for row in rows for answer in row.answers]
    sequences = [torch.tensor([*prompt, *answer]) for prompt, answer in pairs]
    tokens = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    places = torch.arange(tokens.shape[1])
    ends = torch.tensor([len(sequence) for sequence in sequences])[:, None]
    starts = torch.tensor([len(prompt) for prompt, _ in pairs])[:, None]
    logits = model(tokens, attention_mask=(places < ends).long()).logits[:, :-1].float()
    found = logits.log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    answer = (places >= starts) & (places < ends)
    scores: Tensor = (found * answer[:, 1:]).sum(1).view(len(rows), -1)
    return scores


def generate(setting: Setting, batch: int, *, stopping: bool, merged: bool) -> Step:
    """Return self-play by transformers' `generate`, greedily.

    Released: up to 128 new tokens, an end at the end of text alone, and scores of all tokens returned.
    `stopping` ends a title as ours does, within as many tokens. `merged` adds the adapters into the weights
    first.
    """
    setting = setting.plain()
    ours = setting.model
    prompts = sorted((list(row.prompt) for row in setting.encoded()), key=len)
    model = _tuned(setting, merged=merged)
    ends = ours.stop_tokens.nonzero()[:, 0].tolist() if stopping else ours.tokenizer.eos_token_id
    told = {"return_dict_in_generate": True, "output_scores": True}
    options = {"max_new_tokens": TITLE_TOKENS} if stopping else {"max_new_tokens": RELEASED_TOKENS, **told}

    @torch.no_grad()
    def take() -> Work:
        for start in range(0, len(prompts), batch):
            tokens, mask = _left_padded(prompts[start : start + batch])
            model.generate(
                input_ids=tokens,
                attention_mask=mask,
                eos_token_id=ends,
                pad_token_id=0,
                do_sample=False,
                **options,
            )
        return Work(len(prompts), sum(map(len, prompts)))

    return take


def pipeline(setting: Setting, *, validated: int) -> Step:
    """Return an iteration as the released scripts take it: titles, SFT, DPO, one after the other.

    Batches of 64 titles, 4 SFT rows and 2 DPO pairs, activations computed again, and `validated` rows read
    after every optimiser step (256 in the released settings, since `eval_steps` falls back to
    `logging_steps`). What surrounds the steps (new processes, loading, saving, 500 spare titles) is not
    counted, and weights are not 4-bit.
    """
    sft, dpo = (Way(min(batch, setting.rows), validated=validated, checkpointing=True) for batch in (4, 2))
    parts = [
        generate(setting, RELEASED_BATCH, stopping=False, merged=False),
        trl(replace(setting, negatives=0), sft),
        trl(replace(setting, negatives=1), dpo),
    ]

    def take() -> Work:
        seconds = [_seconds(part) for part in parts]
        named = dict(zip(("titles", "sft", "dpo"), seconds, strict=True))
        return Work(setting.rows, 0, sum(seconds), named)

    return take


def _seconds(step: Step) -> float:
    """Return the seconds of a step by its own clock, or by this one."""
    start = time.perf_counter()
    work = step()
    return time.perf_counter() - start if work.seconds is None else work.seconds


def _left_padded(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, prompts))
    tokens = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return tokens, mask


def _tuned(setting: Setting, *, merged: bool) -> Any:
    """Return the base model with the adapters of our side, beside its weights as released or merged."""
    model: Any = get_peft_model(_base(setting), _lora())
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in setting.model.tuned_weights().items():
            own[name].copy_(value)
    model = model.merge_and_unload() if merged else model
    if setting.bf16:
        _halve(model)
    return model.eval()
