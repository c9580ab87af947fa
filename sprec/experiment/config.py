"""The typed schema behind conf/: every key, its type, and what it must be."""

import math
import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from sprec.boundaries import suggest
from sprec.evaluation.registry import METRICS
from sprec.store.key_locks import LockKind
from sprec.store.store import Accept

Node = dict[str, Any]
LONGEST_VALUE = 60


class SettingsGroup(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    # Strict: pydantic would otherwise read "no" as false, true as 1 and "5" as 5 without a word.
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), strict=True, allow_inf_nan=False
    )


class Tuning(SettingsGroup):
    """One stage's schedule; `clip_norm` None is the trainer's."""

    epochs: PositiveInt
    batch_rows: PositiveInt
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    warmup_share: float | None = Field(default=None, ge=0, lt=1)
    decay: Literal["linear", "cosine"] = "linear"
    optimizer: Literal["adamw", "rmsprop"] = "adamw"
    clip_norm: float | None = Field(default=None, gt=0)
    loss_on: Literal["title", "history", "sequence"] = "title"


class InitialTuning(Tuning):
    """The initial SFT: every `eval_every` steps its weights are candidates; None keeps the last ones."""

    eval_every: PositiveInt | None


class PreferenceTuning(Tuning):
    """Preference tuning, whose loss is on titles alone."""

    loss_on: Literal["title"] = "title"


class Budget(SettingsGroup):
    """How much is trained and tested; rows are counts, None means all."""

    name: str
    sft_rows: PositiveInt | None
    iteration_rows: PositiveInt | None
    valid_rows: PositiveInt | None
    test_rows: PositiveInt | None
    iterations: int = Field(ge=0)
    initial: InitialTuning
    sft: Tuning
    dpo: PreferenceTuning


class LoraSettings(SettingsGroup):
    """Adapter size; rank 0 tunes all weights."""

    rank: int = Field(ge=0)
    alpha: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    # YAML has lists where the settings have tuples, which strict types would refuse.
    target_modules: str | Annotated[tuple[str, ...], Field(strict=False)] = "all-linear"


class EngineSettings(SettingsGroup):
    """What computes the LLM: transformers alone, the fast engine, or the fast one where both agree."""

    name: Literal["auto", "fast", "plain"]


class BaseLlm(SettingsGroup):
    """The language model: where its weights come from, its adapter, the longest prompt."""

    name: str
    weights: Node
    lora: LoraSettings
    quantise: Literal["none", "nf4", "auto"]
    cutoff_tokens: PositiveInt


class CounterfactualSettings(SettingsGroup):
    """How SFT learns the history's effect: its weight, and the weight of a title's last token."""

    effect_weight: float = Field(ge=0)
    last_token_weight: float = Field(ge=0, le=1)


class MethodSettings(SettingsGroup):
    """The steps of an iteration, and which pairs stay.

    With `baseline` there is no LLM: that object ranks the items, and the other settings are ignored.
    """

    name: str
    with_sft: bool
    with_dpo: bool
    keep_pairs_equal_to_target: bool
    accumulate_pairs: bool = False
    weighting: Node | None = None
    counterfactual: CounterfactualSettings | None = None
    baseline: Node | None = None


class TrainerSettings(SettingsGroup):
    """Where and how the numbers are computed."""

    device: str = Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["auto", "bf16", "float32"]
    inference_precision: Literal["same", "fp16", "auto"]
    # More threads than a machine starts end the process without a line.
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    batch_tokens: PositiveInt
    eval_batch_tokens: PositiveInt
    clip_norm: float = Field(gt=0)
    loss_per: Literal["token", "row"]
    warmup_from_zero: bool
    checkpoint_minutes: float = Field(default=5, gt=0)
    checkpointing: bool = False
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    shard: bool = False
    launch_command: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @property
    def cpu_threads(self) -> int:
        """The number of CPU threads: fixed and recorded, since the last bits of results depend on it."""
        return self.threads or len(os.sched_getaffinity(0))

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self.devices * self.nodes


class StoreSettings(SettingsGroup):
    """Where stages are stored (None: $SPREC_HOME/stages), who computes one, and which are reused."""

    path: str | None
    lock: LockKind = "flock"
    accept: Accept = "same_code"


class Settings(SettingsGroup):
    """One run."""

    dataset: Node
    base_llm: BaseLlm
    engine: EngineSettings = EngineSettings(name="auto")
    prompt: Node
    embeddings: Node
    ranking: Node
    budget: Budget
    negatives: Node
    decoding: Node
    objective: Node
    method: MethodSettings
    trainer: TrainerSettings
    tracker: Node
    store: StoreSettings
    # Any reader of JSON gets integers below 2^53 exactly.
    seed: int = Field(ge=0, lt=2**53)
    rows_seed: Literal["entropy"] | Annotated[int, Field(ge=0, lt=2**53)] | None
    cutoffs: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
    split: Literal["valid", "test"]
    plan: bool = False
    describe: bool = False
    group: str | None = None
    goal: str | None = Field(default=None, pattern=r"^\w+@[1-9]\d*$")

    @model_validator(mode="after")
    def _check_goal(self) -> Self:
        """Refuse a search's goal that is no score, or one of another list length."""
        names = [name for name, metric in METRICS.items() if metric.has_cutoff]
        if self.goal and self.goal.partition("@")[0] not in names:
            raise ValueError(f"goal = {self.goal} is no score; take one of {', '.join(names)}, as in ndcg@5")
        if self.goal and int(self.goal.partition("@")[2]) not in self.cutoffs:
            raise ValueError(f"goal = {self.goal} is not scored; add its list length to cutoffs")
        return self

    @field_validator("objective")
    @classmethod
    def _check_objective(cls, objective: Node) -> Node:
        """Refuse a `beta` of 0 or less, and an `epsilon` of one half or more: labels would be noise."""
        if not _number(objective, "beta", 1) > 0:
            raise ValueError(f"beta = {objective['beta']} must be greater than 0")
        if not 0 <= _number(objective, "epsilon", 0) < 0.5:
            raise ValueError(f"epsilon = {objective['epsilon']} must be 0 or more and less than 0.5")
        return objective

    @field_validator("ranking")
    @classmethod
    def _check_ranking(cls, ranking: Node) -> Node:
        """Refuse a search without a beam, and a weight of the LLM outside 0 to 1."""
        if not _number(ranking, "width", 1) >= 1:
            raise ValueError(f"width = {ranking['width']} must be 1 or more")
        if not 0 <= _number(ranking, "alpha", 1) <= 1:
            raise ValueError(f"alpha = {ranking['alpha']} must be 0 to 1")
        return ranking

    @field_validator("negatives")
    @classmethod
    def _check_count(cls, negatives: Node) -> Node:
        """Refuse a sampler of no negatives."""
        if not _number(negatives, "count", 1) >= 1:
            raise ValueError(f"count = {negatives['count']} must be 1 or more")
        return negatives


def validate_settings(config: dict[str, Any]) -> Settings:
    """Return the typed settings; `ValueError` with one line that names each wrong key."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        raise ValueError("configuration: " + "; ".join(map(_describe_fault, error.errors()))) from error


def _number(node: Node, key: str, default: float) -> float:
    """Return a number of a node that no class checks yet; `ValueError` for anything else."""
    value = node.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} = {value!r} must be a number")
    return value


def _describe_fault(fault: Any) -> str:
    """Return the key, what is wrong with it, and its value, or names like that of an unknown key."""
    key, text = ".".join(map(str, fault["loc"])), repr(fault["input"])
    if fault["type"] == "extra_forbidden":
        prefix = key.rpartition(".")[0]
        known = [f"{prefix}.{name}".lstrip(".") for name in _known_keys(fault["loc"][:-1])]
        return f"{key}: no such key{suggest(key, known)}"
    # A whole group of settings as the value would hide the message.
    shown = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} …"
    if not key:  # a rule over several settings, whose text names them
        return str(fault["msg"]).removeprefix("Value error, ")
    return f"{key}: {fault['msg']}{'' if fault['type'] == 'missing' else f' (got {shown})'}"


def _known_keys(path: Sequence[str | int]) -> list[str]:
    """Return the keys of the group of settings at this path."""
    group: Any = Settings
    for name in path:
        group = group.model_fields[str(name)].annotation
    return list(group.model_fields)
