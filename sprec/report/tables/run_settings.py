"""A run's settings as tables compare them: flat, as they took effect, and which of them change a result."""

from collections.abc import Mapping

from sprec.records.run_record import RunRecord

# First parts of configuration keys that do not change what a run measures, beyond its seed.
NOT_A_SETTING = frozenset(
    {
        # What a dataset's settings change is in its digest, which compared runs share.
        *("dataset", "seed", "rows_seed_drawn", "store", "tracker", "trainer"),
        *("plan", "describe", "group", "goal", "split"),
    }
)

# Keys that do change it all the same: number formats, and what a step is.
MEASURED = frozenset(
    f"trainer.{name}"
    for name in ("precision", "inference_precision", "clip_norm", "loss_per", "warmup_from_zero")
)

# How the keys begin that only a model with an LLM reads; of others they say nothing.
# "ranking." as a whole is not among them: all lists may leave histories out.
OF_THE_LLM = (
    *("base_llm.", "budget.", "decoding.", "embeddings.", "engine."),
    *("negatives.", "objective.", "prompt.", "trainer."),
    *(f"ranking.{name}" for name in ("_target_", "alpha", "collaborative", "embedder", "width")),
)


def flatten_config(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested settings under dotted keys.

    >>> flatten_config({"seed": 1, "dpo": {"beta": 0.1}})
    {'seed': 1, 'dpo.beta': 0.1}
    """
    flat: dict[str, object] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= flatten_config(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def changes_results(key: str) -> bool:
    """Return whether a setting with this dotted key changes what a run measures.

    >>> [changes_results(key) for key in ("trainer.precision", "trainer.threads", "dpo.beta")]
    [True, False, True]
    """
    return key in MEASURED or (key != "method.name" and key.split(".")[0] not in NOT_A_SETTING)


def computed_settings(record: RunRecord) -> dict[str, object]:
    """Return the settings that took effect without being what the configuration says, such as "auto"."""
    flat = flatten_config(record.config)
    return {key: value for key, value in effective_config(record).items() if flat.get(key) != value}


def effective_config(record: RunRecord) -> dict[str, object]:
    """Return the flat configuration, with "auto" number formats replaced by those the run computed in.

    They are the record's `precision`, such as "bf16 on nf4 reading in fp16"; where it says something else,
    they stay what the configuration says. Settings of adapters are left out where there are none.
    """
    flat, formats = flatten_config(record.config), record.precision.split()
    if flat.get("base_llm.lora.rank") == 0:
        flat = {key: value for key, value in flat.items() if not key.startswith("base_llm.lora.")}
        flat["base_llm.lora.rank"] = 0
    # On two machines "auto" may mean two formats, and those are two arms.
    if not formats or formats[0] not in ("bf16", "float32"):
        return flat
    return flat | {
        "trainer.precision": formats[0],
        "trainer.inference_precision": "fp16" if "fp16" in formats else "same",
        "base_llm.quantise": "nf4" if "nf4" in formats else "none",
    }
