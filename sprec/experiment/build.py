"""Configuration → objects: beside run.py and hydra_callbacks.py the only place that composes by Hydra."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from sprec.algorithm import BaselineAlgorithm, SelfPlayAlgorithm
from sprec.boundaries import InputError, describe
from sprec.caches import default_store
from sprec.data.dataset import DatasetReader
from sprec.data.prompts import PromptLayout
from sprec.deferred_imports import import_deferred, when_imported
from sprec.experiment.config import Node, Settings, StoreSettings, Tuning
from sprec.experiment.nodes import check_node, with_local_folder
from sprec.generation.grounding import Embedder
from sprec.generation.rankers import Ranker
from sprec.llm.base_models import TinyLlama, WeightSource
from sprec.llm.language_model import silence_libraries
from sprec.llm.precision import Precision, resolve_precision
from sprec.records.provenance import describe_maker
from sprec.records.tracking import Tracker
from sprec.store.code_digest import library_versions
from sprec.store.store import Store
from sprec.training.counterfactual import Counterfactual
from sprec.training.schedule import Schedule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Components:
    """The objects of one run, nothing loaded yet."""

    reader: DatasetReader
    weights: WeightSource
    layout: PromptLayout
    embedder: Embedder
    ranker: Ranker
    method: SelfPlayAlgorithm | BaselineAlgorithm
    tracker: Tracker
    store: Store
    device: str
    precision: Precision


def build_components(settings: Settings) -> Components:
    """Return the run's objects; `ValueError` for an unknown device or option.

    PyTorch is set up as soon as it is imported.
    """
    when_imported("transformers", silence_libraries)
    device = _resolve_device(settings.trainer.device)
    _check_device_count(settings.trainer.devices, device)
    _check_sharding(settings)
    if settings.base_llm.weights.get("source") == "???":  # checked here, before data are read
        raise ValueError("base_llm=folder reads a folder; name it with base_llm.weights.source=DIR")
    when_imported("torch", partial(_set_up_torch, settings, device))
    weights = instantiate_node("base_llm.weights", settings.base_llm.weights)
    if isinstance(weights, TinyLlama) and settings.base_llm.lora.rank:
        log.warning(
            "the weights of %s are random, and adapters leave them so: scores say nothing", weights.name
        )
    embedder = instantiate_node("embeddings", settings.embeddings)
    shared = {"embedder": embedder} if "embedder" in settings.ranking else {}  # so that it embeds titles once
    return Components(
        reader=instantiate_node("dataset", with_local_folder(settings.dataset)),
        weights=weights,
        layout=instantiate_node("prompt", settings.prompt),
        embedder=embedder,
        ranker=_make_factory("ranking", settings.ranking)(**shared),
        method=_check_title_count(_build_method(settings)),
        tracker=instantiate_node("tracker", settings.tracker),
        store=_build_store(settings.store),
        device=device,
        precision=_resolve_precision(settings, device),
    )


def instantiate_node(key: str, node: Node) -> Any:
    """Return the object that a node's `_target_` makes of its settings, plain lists and dicts inside.

    Raises `ValueError`, one line with the key, for a target or setting that does not exist or does not fit.
    """
    check_node(key, node)
    with _constructing(key):
        return instantiate(node, _convert_="all")


@contextmanager
def _constructing(key: str) -> Iterator[None]:
    """Raise `InputError` with the key for what a constructor raises, which Hydra wraps into two lines."""
    try:
        yield
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise InputError(f"{key}: {describe(cause)}") from error


def _set_up_torch(settings: Settings, device: str) -> None:
    torch.set_num_threads(settings.trainer.cpu_threads)
    # As `use_deterministic_algorithms`, which first imports PyTorch's compiler: seconds for nothing here.
    torch.set_deterministic_debug_mode("error" if device == "cpu" else "default")
    memory: Any = torch.utils.deterministic
    memory.fill_uninitialized_memory = False  # filling takes time and changes no result


def _build_store(store: StoreSettings) -> Store:
    root = Path(store.path).expanduser() if store.path else default_store()
    # Prepared, or the first stage that is computed would seem to take the time of the imports too.
    return Store(
        root, store.lock, accept=store.accept, describe_maker=describe_maker, prepare=import_deferred
    )


def _resolve_precision(settings: Settings, device: str) -> Precision:
    trainer, llm = settings.trainer, settings.base_llm
    formats = (trainer.precision, llm.quantise, trainer.inference_precision)
    return resolve_precision(*formats, device=device, rank=llm.lora.rank)


def _resolve_device(name: str) -> str:
    device = ("cuda" if _has_cuda() else "cpu") if name == "auto" else name
    if device.startswith("cuda") and not _has_cuda():
        raise ValueError(f"trainer.device={name}: no CUDA device here; use trainer.device=cpu")
    return device


def _has_cuda() -> bool:
    # PyTorch's builds for the CPU alone say so in their version, so that nothing need be imported.
    return not library_versions(("torch",))["torch"].endswith("+cpu") and torch.cuda.is_available()


def _check_device_count(processes: int, device: str) -> None:
    """Raise `ValueError` unless each process of a group can have a CUDA device."""
    if processes == 1 or device == "cpu":
        return
    if device != "cuda":
        raise ValueError(
            f"trainer.device={device}: several processes take a device each; use trainer.device=cuda"
        )
    if processes > (count := torch.cuda.device_count()):
        raise ValueError(
            f"trainer.devices={processes}: {count} CUDA devices here; use trainer.devices={count}"
        )


def _check_sharding(settings: Settings) -> None:
    """Raise `ValueError` if weights are to be sharded and none are frozen floats."""
    llm, trainer = settings.base_llm, settings.trainer
    if trainer.shard and trainer.world_size == 1:
        raise ValueError("trainer.shard divides weights among processes; use trainer.devices=2 or more")
    if trainer.shard and llm.lora.rank == 0:
        raise ValueError("trainer.shard shards frozen weights; choose base_llm.lora.rank > 0")
    if trainer.shard and llm.quantise != "none":
        raise ValueError(f"base_llm.quantise={llm.quantise} cannot be sharded; use base_llm.quantise=none")


def _build_method(settings: Settings) -> SelfPlayAlgorithm | BaselineAlgorithm:
    budget, method = settings.budget, settings.method
    if method.baseline is not None:
        return BaselineAlgorithm(
            method.name, instantiate_node("method.baseline", method.baseline), method.baseline
        )
    counterfactual = method.counterfactual
    return SelfPlayAlgorithm(
        iterations=budget.iterations if method.with_sft or method.with_dpo else 0,  # nothing to repeat
        with_sft=method.with_sft,
        with_dpo=method.with_dpo,
        keep_pairs_equal_to_target=method.keep_pairs_equal_to_target,
        accumulate_pairs=method.accumulate_pairs,
        objective=_make_factory("objective", settings.objective),
        weighting=None
        if method.weighting is None
        else instantiate_node("method.weighting", method.weighting),
        counterfactual=Counterfactual(**counterfactual.model_dump()) if counterfactual else None,
        negatives=instantiate_node("negatives", settings.negatives),
        decoding=instantiate_node("decoding", settings.decoding),
        initial=_build_schedule(settings, budget.initial, settings.trainer.loss_per),
        sft=_build_schedule(settings, budget.sft, settings.trainer.loss_per),
        dpo=_build_schedule(settings, budget.dpo, "row"),  # a preference is one of titles, however long
    )


def _build_schedule(settings: Settings, tuning: Tuning, loss_per: str) -> Schedule:
    trainer, stage = settings.trainer, tuning.model_dump()
    stage["clip_norm"] = trainer.clip_norm if tuning.clip_norm is None else tuning.clip_norm
    stage |= {"batch_tokens": trainer.batch_tokens, "warmup_from_zero": trainer.warmup_from_zero}
    return Schedule(**stage, loss_per=loss_per)


def _check_title_count(
    method: SelfPlayAlgorithm | BaselineAlgorithm,
) -> SelfPlayAlgorithm | BaselineAlgorithm:
    """Return the method; `ValueError` if its model would write too few different titles."""
    if isinstance(method, BaselineAlgorithm) or not method.with_dpo or method.decoding.is_random:
        return method
    if (count := method.negatives.titles_per_prompt) > 1:
        raise ValueError(
            f"negatives.count={count}: {type(method.decoding).__name__.lower()} decoding writes one title "
            "per prompt; use decoding=sampled, or negatives=beams for the most probable titles"
        )
    return method


def _make_factory(key: str, node: Node) -> partial[Any]:
    """Return what makes the object of a node when the rest of its settings is known."""
    check_node(key, node)
    with _constructing(key):
        factory: partial[Any] = instantiate(node, _partial_=True, _convert_="all")
    return factory
