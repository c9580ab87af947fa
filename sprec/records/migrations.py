"""Records of older versions, brought to the present layout. Whoever renames something adds a line here."""

from collections.abc import Callable, Mapping
from typing import Any

Document = Mapping[str, object]

RENAMED_TARGETS: tuple[tuple[str, str], ...] = (
    ("sprec.baselines.guided", "sprec.baselines.guided_ranker"),
    ("sprec.data.sources", "sprec.data.download.sources"),
    ("sprec.evaluation.evaluate", "sprec.generation.rankers"),
    ("sprec.llm.decoding", "sprec.generation.decoding"),
    ("sprec.llm.grounding", "sprec.generation.grounding"),
    ("sprec.llm.weights", "sprec.llm.base_models"),
    ("sprec.llm.base_models.Tiny", "sprec.llm.base_models.TinyLlama"),
    ("sprec.runtime.tracking", "sprec.records.tracking"),
    ("sprec.training.negatives", "sprec.negatives"),
    ("sprec.training.weights", "sprec.training.row_weights"),
    ("sprec.negatives.Grounded", "sprec.negatives.GroundedSelfPlay"),
    ("sprec.generation.rankers.Grounded", "sprec.generation.rankers.GroundedRanker"),
    ("sprec.generation.rankers.Beam", "sprec.generation.rankers.BeamRanker"),
    ("sprec.baselines.guided_ranker.Guided", "sprec.baselines.guided_ranker.GuidedRanker"),
    ("sprec.baselines.guided_ranker.Collaborative", "sprec.baselines.guided_ranker.CollaborativeModel"),
    ("sprec.baselines.ranked", "sprec.baselines.recommenders"),
    ("sprec.baselines.recommenders.Sequential", "sprec.baselines.recommenders.SequentialRecommender"),
    ("sprec.baselines.sequential.Fit", "sprec.baselines.sequential.FitSettings"),
    ("sprec.data.prompts.Templates", "sprec.data.prompts.PromptTemplates"),
    ("sprec.data.prompts.Chat", "sprec.data.prompts.ChatLayout"),
    ("sprec.data.prompts.released", "sprec.data.prompts.released_templates"),
)
"""Modules, classes and functions that a `_target_` once named, old path and new, in the order of the
renames: a path goes through all of them, so a class may move first and get its new name in a later line."""

RENAMED_KEYS: tuple[tuple[str, str | None], ...] = (
    ("trainer.reading", "trainer.inference_precision"),
    ("trainer.reading_tokens", "trainer.eval_batch_tokens"),
    ("trainer.spread", "trainer.launch_command"),
    ("trainer.keep_freed", None),
    ("trainer.compile", None),
    ("method.keep_equal", "method.keep_pairs_equal_to_target"),
    ("budget.initial.choose_every", "budget.initial.eval_every"),
    ("budget.initial.learns", "budget.initial.loss_on"),
    ("budget.sft.learns", "budget.sft.loss_on"),
    ("budget.dpo.learns", "budget.dpo.loss_on"),
    ("prompt.reading", "prompt.inference"),
    ("method.objective", "objective"),
    ("objective.averaged", None),
    ("method.counterfactual.effect", "method.counterfactual.effect_weight"),
    ("method.counterfactual.last", "method.counterfactual.last_token_weight"),
)
"""Dotted configuration keys, old and new (None: no longer there), in the order of the renames."""

RENAMED_VALUES: tuple[tuple[str, object, object], ...] = (
    ("dataset.reader.duplicates", "told_apart", "numbered"),
)
"""Dotted configuration keys, a value that they once had, and its present name."""

ADDED_KEYS: Mapping[str, object] = {
    "trainer.loss_per": "row",
    "trainer.warmup_from_zero": False,
    "method.accumulate_pairs": False,
}
"""Dotted configuration keys that older records lack, with the value that means what older code did."""


ADDED_FIELDS: Mapping[str, Mapping[str, object]] = {
    "": {"engine": {}, "sweep": ""},
    "stages": {"commit": None, "dirty": False, "code": "", "versions": {}, "other_code": False},
    "evaluations": {},
}
"""Fields that records lack which were written before there were these: of the record itself (""), and of the
entries of its lists; with the value that means "unknown"."""


def migrated(document: Document, schema: int) -> Document:
    """Return the document as `schema` has it; one that is newer, or has no way there, comes back as it is."""
    # `type`, since true would pass for 1, and a list has no hash to look up.
    while type(number := document.get("schema")) is int and number != schema and number in STEPS:
        document = STEPS[number](document)
    # Whatever the schema: these fields were added without a new number of it.
    document = _with_added_fields(document)
    config = document.get("config")
    return {**document, "config": present_config(config)} if isinstance(config, Mapping) else document


def _with_added_fields(document: Document) -> Document:
    filled = {**ADDED_FIELDS[""], **document}
    for name, fields in ADDED_FIELDS.items():
        entries = document.get(name)
        if isinstance(entries, list):
            filled[name] = [{**fields, **entry} if isinstance(entry, dict) else entry for entry in entries]
    return filled


def present_config(config: Mapping[str, object]) -> dict[str, Any]:
    """Return a recorded configuration under the present names of its keys and `_target_` paths."""
    present: dict[str, Any] = _with_present_targets(config)
    for old, new in RENAMED_KEYS:
        owner, name = _owner(present, old)
        if owner is not None and name in owner:
            # The record keeps its own: `_with_present_targets` has copied every mapping.
            value = owner.pop(name)
            if new is not None:
                _set_missing(present, new, value)
    for key, former, current in RENAMED_VALUES:
        owner, name = _owner(present, key)
        if owner is not None and owner.get(name) == former:
            owner[name] = current
    # Last, since a key that is set already keeps a recorded value from its new name.
    for key, value in ADDED_KEYS.items():
        _set_missing(present, key, value)
    return present


def present_target(path: str) -> str:
    """Return the present path of what a `_target_` named.

    >>> present_target("sprec.training.negatives.SelfPlay"), present_target("my_package.weights.Tiny")
    ('sprec.negatives.SelfPlay', 'my_package.weights.Tiny')
    """
    for old, new in RENAMED_TARGETS:
        # With the dot: "negatives.Grounded" also begins "negatives.GroundedSelfPlay".
        if path == old or path.startswith(f"{old}."):
            path = new + path[len(old) :]
    return path


def _with_present_targets(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            name: present_target(inner)
            if name == "_target_" and isinstance(inner, str)
            else _with_present_targets(inner)
            for name, inner in node.items()
        }
    return [_with_present_targets(inner) for inner in node] if isinstance(node, list | tuple) else node


def _owner(config: dict[str, Any], key: str) -> tuple[dict[str, Any] | None, str]:
    """Return the mapping that holds a dotted key (None if a parent is missing) and the key's last name."""
    *parents, name = key.split(".")
    owner: Any = config
    for parent in parents:
        owner = owner.get(parent) if isinstance(owner, dict) else None
    return owner if isinstance(owner, dict) else None, name


def _set_missing(config: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key that is not there; without its owner (a shortened configuration) nothing is set."""
    owner, name = _owner(config, key)
    if owner is not None:
        owner.setdefault(name, value)


def _from_1(document: Document) -> Document:
    """Add the fields of schema 2: the lists behind the scores, and what figures and explanations need."""
    columns = ("ids", "titles", "popularity", "genres", "genre_sets")
    empty = {"targets": "", "tracker": "", "history_genres": {}, "shown": [], "curves": {}}
    changed: dict[str, object] = {**document, **empty, "items": {name: [] for name in columns}, "schema": 2}
    evaluations = document.get("evaluations")
    if isinstance(evaluations, list):
        changed["evaluations"] = [
            {**entry, "lists": "", "written": []} if isinstance(entry, dict) else entry
            for entry in evaluations
        ]
    return changed


def _from_2(document: Document) -> Document:
    """Rename `shown`, the users whose titles can be looked at."""
    renamed = {("sampled_users" if name == "shown" else name): value for name, value in document.items()}
    return {**renamed, "schema": 3}


STEPS: Mapping[int, Callable[[Document], Document]] = {1: _from_1, 2: _from_2}
"""What brings a record of each older schema one schema on."""
