"""The typed schema behind conf/: every key, its type, and what it must be."""

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

Node = dict[str, Any]


class Part(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Tuning(Part):
    """One stage's schedule: epochs, rows per step, AdamW learning rate, warm-up steps, what SFT predicts."""

    epochs: PositiveInt
    batch_rows: PositiveInt
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    loss_on: Literal["title", "history", "sequence"] = "title"


class InitialTuning(Tuning):
    """The initial SFT: every `eval_every` steps its weights are candidates; None keeps the last ones."""

    eval_every: PositiveInt | None


class Budget(Part):
    """How much is trained and tested; rows are counts, None means all."""

    name: str
    sft_rows: PositiveInt | None
    iteration_rows: PositiveInt | None
    valid_rows: PositiveInt | None
    test_rows: PositiveInt | None
    iterations: int = Field(ge=0)
    initial: InitialTuning
    sft: Tuning
    dpo: Tuning


class LoraSettings(Part):
    """Adapter size; rank 0 tunes all weights."""

    rank: int = Field(ge=0)
    alpha: PositiveInt
    dropout: float = Field(ge=0, lt=1)


class BaseLlm(Part):
    """The language model: where its weights come from, its adapter, the longest prompt."""

    name: str
    weights: Node
    lora: LoraSettings
    quantise: Literal["none", "nf4", "auto"]
    cutoff_tokens: PositiveInt


class CounterfactualSettings(Part):
    """What SFT learns of the history's effect: its weight, and the weight of a title's last token."""

    effect: float = Field(ge=0)
    last: float = Field(ge=0, le=1)


class MethodSettings(Part):
    """Which steps an iteration has, which pairs stay, and the loss of its preference tuning.

    With `baseline` there is no LLM: that object ranks the items, and the rest does not count.
    """

    name: str
    with_sft: bool
    with_dpo: bool
    keep_pairs_equal_to_target: bool
    objective: Node
    weighting: Node | None = None
    counterfactual: CounterfactualSettings | None = None
    baseline: Node | None = None

    @field_validator("objective")
    @classmethod
    def _in_range(cls, objective: Node) -> Node:
        """Pass where `beta` is positive and `epsilon` below one half, where a label would say nothing."""
        if not objective.get("beta", 1) > 0:
            raise ValueError(f"beta = {objective['beta']} must be greater than 0")
        if not 0 <= objective.get("epsilon", 0) < 0.5:
            raise ValueError(f"epsilon = {objective['epsilon']} must be 0 or more and less than 0.5")
        return objective


class TrainerSettings(Part):
    """Where and how the numbers are computed."""

    device: str = Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["auto", "bf16", "float32"]
    inference_precision: Literal["same", "fp16", "auto"]
    threads: PositiveInt | None
    batch_tokens: PositiveInt
    eval_batch_tokens: PositiveInt
    clip_norm: float = Field(gt=0)
    checkpointing: bool = False
    compile: bool = False
    keep_freed: bool = True
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    shard: bool = False
    launch_command: tuple[str, ...] = ()


class StoreSettings(Part):
    """Where stages are kept (None: $SPREC_HOME/stages), and how processes agree who computes one."""

    path: str | None
    lock: Literal["flock", "lease"] = "flock"


class Settings(Part):
    """One run."""

    dataset: Node
    base_llm: BaseLlm
    prompt: Node
    embeddings: Node
    ranking: Node
    budget: Budget
    negatives: Node
    decoding: Node
    method: MethodSettings
    trainer: TrainerSettings
    tracker: Node
    store: StoreSettings
    seed: int = Field(ge=0)
    rows_seed: Literal["entropy"] | Annotated[int, Field(ge=0)] | None
    cutoffs: tuple[PositiveInt, ...]
    split: Literal["valid", "test"]
    plan: bool = False
    describe: bool = False
    group: str | None = None
    goal: str | None = Field(default=None, pattern=r"^(hr|ndcg|div_ratio|or_ratio|mgu|dgu)@[1-9]\d*$")

    @model_validator(mode="after")
    def _scored(self) -> Self:
        """Pass where the goal of a search is a score of one of the list lengths."""
        if self.goal and int(self.goal.partition("@")[2]) not in self.cutoffs:
            raise ValueError(f"goal = {self.goal} is not scored; add its list length to cutoffs")
        return self

    @field_validator("ranking")
    @classmethod
    def _searchable(cls, ranking: Node) -> Node:
        """Pass where a beam search has a beam and the LLM's weight is a share."""
        if not ranking.get("width", 1) >= 1:
            raise ValueError(f"width = {ranking['width']} must be 1 or more")
        if not 0 <= ranking.get("alpha", 1) <= 1:
            raise ValueError(f"alpha = {ranking['alpha']} must be 0 to 1")
        return ranking

    @field_validator("negatives")
    @classmethod
    def _some(cls, negatives: Node) -> Node:
        """Pass where at least one negative is wanted."""
        if not negatives.get("count", 1) >= 1:
            raise ValueError(f"count = {negatives['count']} must be 1 or more")
        return negatives


def validate_settings(config: dict[str, Any]) -> Settings:
    """Return the typed settings; `ValueError` with one line that names each wrong key."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        raise ValueError("configuration: " + "; ".join(map(_said, error.errors()))) from error


def _said(fault: Any) -> str:
    """Return the key, what is wrong, and the value; of a key that is missing there is none."""
    got = "" if fault["type"] == "missing" else f" (got {fault['input']!r})"
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}{got}"
