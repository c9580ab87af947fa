"""Configuration → objects: the only place besides run.py that knows Hydra."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from sprec.algorithm import BaselineAlgorithm, SelfPlayAlgorithm
from sprec.data.dataset import Dataset, Reader
from sprec.data.download.sources import home
from sprec.data.prompts import ALPACA_TEMPLATES, Prompt, PromptLayout
from sprec.experiment.config import Node, Settings, Tuning
from sprec.generation.grounding import Embedder
from sprec.generation.rankers import Ranker
from sprec.llm.base_models import WeightSource
from sprec.llm.chat_template import apply_chat_template
from sprec.llm.language_model import LanguageModel, Lora, silence_libraries
from sprec.llm.precision import Precision, resolve_precision
from sprec.processes.torchrun import TorchrunGroup, Work, in_process
from sprec.records.tracking import Tracker
from sprec.seeds import derive_seed, stream
from sprec.store.store import Stage, Store
from sprec.training.context import ModelState, StageContext
from sprec.training.counterfactual import Counterfactual
from sprec.training.row_sampling import RowSampling
from sprec.training.trainer import Schedule

make: Any = instantiate
ENTROPY_BITS = 53  # so that any reader of JSON has the number whole
FOLDER = "sprec.data.download.sources.Folder"


@dataclass(frozen=True)
class Built:
    """The objects of one run, nothing loaded yet."""

    reader: Reader
    weights: WeightSource
    layout: PromptLayout
    embedder: Embedder
    ranker: Ranker
    method: SelfPlayAlgorithm | BaselineAlgorithm
    tracker: Tracker
    store: Store
    device: str
    precision: Precision


def build(settings: Settings) -> Built:
    """Return the run's objects; `ValueError` for an unknown device or option."""
    silence_libraries()
    device = _device(settings.trainer.device)
    _check_devices(settings.trainer.devices, device)
    _check_shards(settings)
    torch.set_num_threads(threads(settings))
    torch.use_deterministic_algorithms(device == "cpu")
    memory: Any = torch.utils.deterministic
    memory.fill_uninitialized_memory = False  # costs time and changes no result
    store = Path(settings.store.path).expanduser() if settings.store.path else home() / "stages"
    embedder = make(settings.embeddings, _convert_="all")
    given = {"embedder": embedder} if "embedder" in settings.ranking else {}
    return Built(
        reader=make(_located(settings.dataset), _convert_="all"),
        weights=make(settings.base_llm.weights, _convert_="all"),
        layout=make(settings.prompt, _convert_="all"),
        embedder=embedder,
        ranker=_made_later("ranking", settings.ranking)(**given),
        method=_possible(_method(settings)),
        tracker=make(settings.tracker, _convert_="all"),
        store=Store(store, settings.store.lock),
        device=device,
        precision=_precision(settings, device),
    )


def threads(settings: Settings) -> int:
    """Return the number of CPU threads: results differ in the last bits between counts, so it is fixed."""
    return settings.trainer.threads or len(os.sched_getaffinity(0))


def stored(built: Built) -> Dataset:
    """Return the dataset with all its rows; reads raw data once."""
    stage = Stage("dataset", 1, {}, {"reader": built.reader.digest()})
    folder = built.store.run(stage, lambda place: built.reader.build().save(place)).path
    return Dataset.load(folder)


def drawn(whole: Dataset, settings: Settings) -> Dataset:
    """Return the dataset with its validation and test rows drawn, the same ones for every seed.

    The paper's protocol draws them once; then seeds share their users, and models are compared user by user.
    """
    return whole.sampled(
        None,
        settings.budget.valid_rows,
        settings.budget.test_rows,
        lambda name: stream(0, "rows", name),
    )


def engine(
    built: Built, settings: Settings, dataset: Dataset, whole: str, *, sharded: bool = False
) -> tuple[StageContext, ModelState]:
    """Return what the stages share, and the untuned model's state; `whole` is the digest of all rows.

    A `sharded` model's frozen weights are shared out among the processes of the group.
    """
    key = built.weights.digest(_texts(dataset))
    llm = settings.base_llm

    def load(**formats: bool) -> LanguageModel:
        """Return the recommender, its weights taken from the store."""
        folder = base_folder(built, dataset)
        model = LanguageModel(
            folder,
            prompt(built, dataset, folder, llm.name),
            lora=Lora(**llm.lora.model_dump()),
            bf16=built.precision.bf16,
            fused=built.precision.compiled,
            keep_freed=settings.trainer.keep_freed,
            **formats,
            device=built.device,
            cutoff_tokens=llm.cutoff_tokens,
            seed=derive_seed(settings.seed, "adapter"),
        )
        if settings.trainer.checkpointing:
            model.checkpoint_activations()
        return model

    numerics = {
        "device": built.device.split(":")[0],
        "bf16": built.precision.bf16,
        "threads": threads(settings),
        "batch_tokens": settings.trainer.batch_tokens,
        "eval_batch_tokens": settings.trainer.eval_batch_tokens,
        "cutoff_tokens": llm.cutoff_tokens,
        "lora": llm.lora.model_dump(),
        **built.precision.unusual,
        **({} if built.layout == ALPACA_TEMPLATES else {"prompt": repr(built.layout)}),
        **({"processes": processes(settings)} if processes(settings) > 1 else {}),
        **({"shard": True} if settings.trainer.shard else {}),
    }
    trainer = {"accelerator": "cpu" if built.device == "cpu" else "gpu", "devices": 1}
    shared = StageContext(
        dataset=dataset,
        whole=whole,
        load=partial(load, nf4=built.precision.nf4, sharded=sharded),
        load_inference_model=partial(load, fp16=True) if built.precision.fp16 else None,
        embedder=built.embedder,
        seed=settings.seed,
        eval_batch_tokens=settings.trainer.eval_batch_tokens,
        numerics=numerics,
        trainer=trainer,
    )
    return shared, ModelState(key, None)


def prompt(built: Built, dataset: Dataset, folder: Path, name: str) -> Prompt:
    """Return the texts of the run, in the chat template of the folder's tokenizer where they ask for one."""
    return Prompt(
        dataset.wording, built.layout.for_chat(partial(apply_chat_template, folder=folder, name=name))
    )


def base_folder(built: Built, dataset: Dataset) -> Path:
    """Return the folder of the base LLM's weights and tokenizer in the store; writes them once."""
    texts = _texts(dataset)
    stage = Stage("weights", 1, {}, {"weights": built.weights.digest(texts)})
    return built.store.run(stage, lambda place: built.weights.write(place, texts)).path


def processes(settings: Settings) -> int:
    """Return how many processes tune together."""
    return settings.trainer.devices * settings.trainer.nodes


def together(settings: Settings, built: Built) -> Callable[[Stage, Work], Work]:
    """Return who does the work of tuning: this process, or a group whose members get resolved settings."""
    if processes(settings) == 1:
        return in_process
    fixed = {"device": built.device, "threads": threads(settings)}
    trainer = settings.trainer.model_copy(update=fixed)
    resolved = settings.model_copy(update={"trainer": trainer}).model_dump(mode="json")
    return TorchrunGroup(resolved, trainer.devices, trainer.nodes, trainer.launch_command)


def sizes(settings: Settings) -> RowSampling:
    """Return the rows per stage; a `rows_seed` of entropy is drawn here, another one with each call."""
    chosen = settings.rows_seed
    seed = secrets.randbits(ENTROPY_BITS) if chosen == "entropy" else chosen
    return RowSampling(settings.budget.sft_rows, settings.budget.iteration_rows, seed)


def _precision(settings: Settings, device: str) -> Precision:
    trainer, llm = settings.trainer, settings.base_llm
    formats = (trainer.precision, llm.quantise, trainer.inference_precision)
    return resolve_precision(*formats, device=device, rank=llm.lora.rank, compiled=trainer.compile)


def _device(name: str) -> str:
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"trainer.device={name}: no CUDA device here; use trainer.device=cpu")
    return chosen


def _check_devices(wanted: int, device: str) -> None:
    """Raise `ValueError` where a group cannot have a CUDA device for each process."""
    if wanted == 1 or device == "cpu":
        return
    if device != "cuda":
        raise ValueError(
            f"trainer.device={device}: several processes take a device each; use trainer.device=cuda"
        )
    if wanted > (found := torch.cuda.device_count()):
        raise ValueError(f"trainer.devices={wanted}: {found} CUDA devices here; use trainer.devices={found}")


def _check_shards(settings: Settings) -> None:
    """Raise `ValueError` where frozen float weights are to be shared out and there are none."""
    llm = settings.base_llm
    if settings.trainer.shard and llm.lora.rank == 0:
        raise ValueError("trainer.shard shares out frozen weights; choose base_llm.lora.rank > 0")
    if settings.trainer.shard and llm.quantise != "none":
        raise ValueError(f"base_llm.quantise={llm.quantise} cannot be shared out; use base_llm.quantise=none")


def _located(dataset: Node) -> Node:
    """Return the dataset's node; `path` names a local folder to read in place of its source."""
    node = {key: value for key, value in dataset.items() if key != "path"}
    path = dataset.get("path")
    if path == "???":
        raise ValueError(f"dataset {dataset['name']} is read from a folder; name it with dataset.path=DIR")
    if path is None:
        return node
    owner = "reader" if "reader" in node else "source"
    source = node["reader"]["source"] if owner == "reader" else node["source"]
    members = source.get("members", ()) if source["_target_"] == FOLDER else ()
    source = {"_target_": FOLDER, "path": str(path), "members": list(members)}
    return {**node, owner: {**node["reader"], "source": source} if owner == "reader" else source}


def _method(settings: Settings) -> SelfPlayAlgorithm | BaselineAlgorithm:
    budget, method, trainer = settings.budget, settings.method, settings.trainer
    if method.baseline is not None:
        return BaselineAlgorithm(method.name, make(method.baseline, _convert_="all"), method.baseline)

    def schedule(tuning: Tuning) -> Schedule:
        """Return a stage's schedule."""
        return Schedule(**tuning.model_dump(), clip_norm=trainer.clip_norm, batch_tokens=trainer.batch_tokens)

    return SelfPlayAlgorithm(
        iterations=budget.iterations if method.with_sft or method.with_dpo else 0,  # nothing to repeat
        with_sft=method.with_sft,
        with_dpo=method.with_dpo,
        keep_pairs_equal_to_target=method.keep_pairs_equal_to_target,
        objective=_made_later("method.objective", method.objective),
        weighting=None if method.weighting is None else make(method.weighting, _convert_="all"),
        counterfactual=None
        if method.counterfactual is None
        else Counterfactual(**method.counterfactual.model_dump()),
        negatives=make(settings.negatives, _convert_="all"),
        decoding=make(settings.decoding, _convert_="all"),
        initial=schedule(budget.initial),
        sft=schedule(budget.sft),
        dpo=schedule(budget.dpo),
    )


def _possible(method: SelfPlayAlgorithm | BaselineAlgorithm) -> SelfPlayAlgorithm | BaselineAlgorithm:
    """Return the method; `ValueError` where its model would write too few different titles."""
    if isinstance(method, BaselineAlgorithm) or not method.with_dpo or method.decoding.is_random:
        return method
    if (count := method.negatives.titles_per_prompt) > 1:
        raise ValueError(
            f"negatives.count={count}: {type(method.decoding).__name__.lower()} decoding writes one title "
            "per prompt; use decoding=sampled, or negatives=beams for the most probable titles"
        )
    return method


def _made_later(key: str, node: Node) -> partial[Any]:
    """Return what makes the object of a node; `ValueError` naming the key for settings it does not take."""
    made: partial[Any] = make(node, _partial_=True, _convert_="all")
    try:
        signature(made.func).bind_partial(**made.keywords)
    except TypeError as problem:
        raise ValueError(f"{key}: {made.func.__name__} {problem}; leave that setting out") from None
    return made


def _texts(dataset: Dataset) -> list[str]:
    """Return what a tokenizer has to know: Alpaca's frame, whatever the prompt, and every title in quotes."""
    prompt = Prompt(dataset.wording)
    return [prompt.text(())] * 100 + [f'"{title}", "' for title in dataset.catalog.titles]
