"""The engine of a run: chosen once per model and settings, then read from the store."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sprec.llm.adapters import AdaptedWeights
from sprec.llm.engines.choice import EngineChoice, choose_engine, report_choice
from sprec.llm.language_model import LanguageModel
from sprec.store.code_digest import code_digest, library_versions
from sprec.store.stage import JSON, Stage
from sprec.store.store import Store

CHOICE = "engine.json"


@dataclass(frozen=True)
class RunEngine:
    """What computes a run's model, and what its adapters sit on."""

    model_type: str
    choice: EngineChoice
    adapted: AdaptedWeights

    def numerics(self) -> dict[str, JSON]:
        """Return what results depend on."""
        # The fast engine has a cache of its own, whatever transformers' cache does to the model.
        rereads = self.choice.engine == "plain" and not self.choice.cached
        return {"engine": self.choice.engine, **({"cached": False} if rereads else {})}

    def describe(self) -> dict[str, JSON]:
        """Return the entry of `run.json`."""
        return {"model_type": self.model_type, **asdict(self.choice), **asdict(self.adapted)}


def load_or_choose_engine(
    store: Store,
    requested: str,
    load: Callable[[], LanguageModel],
    *,
    settings: Mapping[str, JSON],
    weights: str,
) -> RunEngine:
    """Return the engine for a model that `load` returns in float32 under the plain engine.

    Where `auto` falls back to the plain engine, one line is logged in every run.

    Args:
        store: Where the choice is stored.
        requested: "auto", "fast" or "plain".
        load: Loads the model; called unless the choice is stored.
        settings: What the choice depends on beside the weights.
        weights: The key of the base model's weights.
    """
    code = code_digest(choose_engine, AdaptedWeights, LanguageModel)
    settings = {"requested": requested, **settings}
    stage = Stage("engine", settings, {"weights": weights}, code, library_versions())

    def work(folder: Path) -> None:
        """Compare both engines."""
        model = load()
        base = model.base_model
        choice = choose_engine(requested, base, cutoff_tokens=model.tokens.cutoff_tokens)
        entry = RunEngine(base.config.model_type, choice, AdaptedWeights.of(base))
        (folder / CHOICE).write_text(json.dumps(asdict(entry)))

    content = json.loads((store.run(stage, work).path / CHOICE).read_text())
    choice, adapted = EngineChoice(**content["choice"]), AdaptedWeights(**content["adapted"])
    report_choice(choice, requested, content["model_type"])
    return RunEngine(content["model_type"], choice, adapted)
