"""From a run's objects to what its stages need: dataset, prompt, base LLM, rows, and who does the work."""

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sprec.algorithm import BaselineAlgorithm
from sprec.boundaries import reading
from sprec.data.dataset import Dataset
from sprec.data.prompts import ALPACA_TEMPLATES, Prompt
from sprec.experiment.build import Components
from sprec.experiment.config import LoraSettings, Settings
from sprec.experiment.engine_choice import RunEngine, load_or_choose_engine
from sprec.llm.adapters import Lora
from sprec.llm.chat_template import apply_chat_template
from sprec.llm.language_model import LanguageModel
from sprec.processes.torchrun import TorchrunGroup, Work, in_process
from sprec.seeds import derive_seed, stream
from sprec.store.code_digest import LIBRARIES, code_digest, library_versions
from sprec.store.stage import JSON
from sprec.store.store import Stage
from sprec.training.context import ModelState, StageContext
from sprec.training.row_sampling import RowSampling

ENTROPY_BITS = 53  # any reader of JSON gets integers of this size exactly


def load_or_build_dataset(components: Components) -> Dataset:
    """Return the dataset with all its rows; raw data is read once and stored."""
    reader = components.reader
    code = code_digest(reader, Dataset.save)
    with reading("dataset", "check its files, dataset.path, and the settings of dataset.reader"):
        # A dataset does not depend on torch, so a new torch does not read raw data again.
        stage = Stage("dataset", {}, {"reader": reader.digest()}, code, library_versions(("numpy", "polars")))
        return Dataset.load(components.store.run(stage, lambda folder: reader.build().save(folder)).path)


def sample_eval_rows(dataset: Dataset, settings: Settings) -> Dataset:
    """Return the dataset with a sample of its validation and test rows, the same one for every seed.

    The paper samples them once. So seeds share their users, and models are compared user by user.
    """
    valid, test = settings.budget.valid_rows, settings.budget.test_rows
    return dataset.sampled(None, valid, test, lambda name: stream(0, "rows", name))


def build_context(
    components: Components, settings: Settings, whole: Dataset, *, sharded: bool = False
) -> tuple[StageContext, ModelState]:
    """Return what the stages of a run share, and the state of the untuned model.

    `whole` is the dataset with all its rows. A `sharded` model's frozen weights are divided among the
    processes of the group.
    """
    dataset = sample_eval_rows(whole, settings)
    weights = _base_model_stage(components, dataset)
    stored = components.store.find(weights)
    # With store.accept=any_code, what is stored may have the key of other code.
    base = ModelState(stored.key if stored else weights.key, None)
    engine = None
    # A plan goes on without a base LLM that cannot be had, and says so where it gives no estimates.
    without_llm = settings.plan and not _can_be_had(components, dataset)
    if not isinstance(components.method, BaselineAlgorithm) and not without_llm:
        engine = _choose_engine(components, settings, dataset, base.key)
    load = partial(_load_model, components, settings, dataset, engine)
    context = StageContext(
        dataset=dataset,
        load=partial(load, nf4=components.precision.nf4, sharded=sharded),
        load_inference_model=partial(load, fp16=True) if components.precision.fp16 else None,
        embedder=components.embedder,
        seed=settings.seed,
        eval_batch_tokens=settings.trainer.eval_batch_tokens,
        checkpoint_minutes=settings.trainer.checkpoint_minutes,
        numerics={**_numerics(components, settings), **(engine.numerics() if engine else {})},
        trainer=_lightning_device(components.device),
        engine=engine.describe() if engine else {},
        # This package's own functions are plumbing to the keys: what computes is named here.
        model_code=(
            *(_load_model, LanguageModel, Lora, build_prompt, apply_chat_template),
            *(Prompt, components.layout),
        ),
    )
    return context, base


def _lightning_device(device: str) -> dict[str, object]:
    """Return Lightning's options for one device: "cpu", "cuda" or "cuda:N".

    >>> _lightning_device("cpu"), _lightning_device("cuda:1")
    ({'accelerator': 'cpu', 'devices': 1}, {'accelerator': 'gpu', 'devices': [1]})
    """
    if device == "cpu":
        return {"accelerator": "cpu", "devices": 1}
    # A bare number is how many devices, the first ones, whichever the model is on.
    return {"accelerator": "gpu", "devices": [int(device.partition(":")[2] or 0)]}


def _can_be_had(components: Components, dataset: Dataset) -> bool:
    try:
        store_base_model(components, dataset)
    except (ValueError, OSError):
        return False
    return True


def _choose_engine(components: Components, settings: Settings, dataset: Dataset, weights: str) -> RunEngine:
    """Return what computes the base LLM, whose weights have this key."""
    llm = settings.base_llm

    def load() -> LanguageModel:
        """Return the model in float32: rounding to half precision would hide differences."""
        folder = store_base_model(components, dataset)
        prompt = build_prompt(components, dataset, folder, llm.name)
        return LanguageModel(
            folder,
            prompt,
            lora=Lora(**llm.lora.model_dump()),
            bf16=False,
            device=components.device,
            cutoff_tokens=llm.cutoff_tokens,
            seed=0,  # the check sets the adapters' weights itself
            engine="plain",
        )

    depends_on: dict[str, JSON] = {
        "device": components.device.split(":")[0],
        "lora": _used_lora(llm.lora),
        "cutoff_tokens": llm.cutoff_tokens,
    }
    requested = settings.engine.name
    return load_or_choose_engine(components.store, requested, load, settings=depends_on, weights=weights)


def _load_model(
    components: Components,
    settings: Settings,
    dataset: Dataset,
    engine: RunEngine | None,
    **formats: bool,
) -> LanguageModel:
    """Return the base LLM with new adapters; its weights come from the store."""
    assert engine is not None, "a method without an LLM loads one"
    llm = settings.base_llm
    folder = store_base_model(components, dataset)
    model = LanguageModel(
        folder,
        build_prompt(components, dataset, folder, llm.name),
        lora=Lora(**llm.lora.model_dump()),
        bf16=components.precision.bf16,
        engine=engine.choice.engine,
        cached=engine.choice.cached,
        **formats,
        device=components.device,
        cutoff_tokens=llm.cutoff_tokens,
        seed=derive_seed(settings.seed, "adapter"),
    )
    if settings.trainer.checkpointing:
        model.engine.checkpoint_activations()
    return model


def _numerics(components: Components, settings: Settings) -> dict[str, object]:
    """Return the settings that change a model's numbers, which are part of every stage's key.

    What has its usual value is left out, so that an option added later leaves older keys as they are.
    """
    return {
        "device": components.device.split(":")[0],
        "bf16": components.precision.bf16,
        "threads": settings.trainer.cpu_threads,
        "batch_tokens": settings.trainer.batch_tokens,
        "eval_batch_tokens": settings.trainer.eval_batch_tokens,
        "cutoff_tokens": settings.base_llm.cutoff_tokens,
        "lora": _used_lora(settings.base_llm.lora),
        **components.precision.unusual,
        **({} if components.layout == ALPACA_TEMPLATES else {"prompt": repr(components.layout)}),
        **({"processes": settings.trainer.world_size} if settings.trainer.world_size > 1 else {}),
        # A machine's threads are divided among its processes alone.
        **({"nodes": settings.trainer.nodes} if settings.trainer.nodes > 1 else {}),
        **({"shard": True} if settings.trainer.shard else {}),
    }


def _used_lora(lora: LoraSettings) -> dict[str, JSON]:
    """Return the adapters' settings; without adapters the others change nothing."""
    return lora.model_dump() if lora.rank else {"rank": 0}


def build_prompt(components: Components, dataset: Dataset, folder: Path, name: str) -> Prompt:
    """Return the run's texts; a layout that asks for a chat template gets that of the folder's tokenizer."""
    frame = partial(apply_chat_template, folder=folder, name=name)
    return Prompt(dataset.wording, components.layout.for_chat(frame), dataset.catalog.titles)


def store_base_model(components: Components, dataset: Dataset) -> Path:
    """Return the folder of the base LLM's weights and tokenizer in the store; writes them once."""
    texts = tokenizer_texts(dataset)
    with reading("base_llm.weights", "check the model's folder or name, and its licence if it has one"):
        stage = _base_model_stage(components, dataset)
        return components.store.run(stage, lambda folder: components.weights.write(folder, texts)).path


def base_model_digest(components: Components, dataset: Dataset) -> str:
    """Return the digest of the base LLM's source and settings, whatever code reads them."""
    return components.weights.digest(tokenizer_texts(dataset))


def _base_model_stage(components: Components, dataset: Dataset) -> Stage:
    inputs = {"weights": base_model_digest(components, dataset)}
    code = code_digest(components.weights)  # the texts are in the digest
    return Stage("weights", {}, inputs, code, library_versions((*LIBRARIES, "gguf")))


def tokenizer_texts(dataset: Dataset) -> list[str]:
    """Return what a tokenizer is trained on: Alpaca's frame, whatever the prompt, and every quoted title."""
    prompt = Prompt(dataset.wording)
    return [prompt.text(())] * 100 + [f'"{title}", "' for title in dataset.catalog.titles]


def distributed_runner(settings: Settings, components: Components) -> Callable[[Stage, Work], Work]:
    """Return who trains: this process, or a group of processes that reads resolved settings."""
    if settings.trainer.world_size == 1:
        return in_process
    # A member must not resolve "auto" or count cores again: another machine may answer differently.
    resolved = {"device": components.device, "threads": settings.trainer.cpu_threads}
    trainer = settings.trainer.model_copy(update=resolved)
    document = settings.model_copy(update={"trainer": trainer}).model_dump(mode="json")
    return TorchrunGroup(document, trainer.devices, trainer.nodes, trainer.launch_command)


def build_row_sampling(settings: Settings, resumed: int | None = None) -> RowSampling:
    """Return how many rows each stage samples.

    With `rows_seed=entropy` the seed is that of the stopped run which is `resumed`, or another one at each
    call.
    """
    seed = settings.rows_seed
    if seed == "entropy":
        seed = secrets.randbits(ENTROPY_BITS) if resumed is None else resumed
    return RowSampling(settings.budget.sft_rows, settings.budget.iteration_rows, seed)
