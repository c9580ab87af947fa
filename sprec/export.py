"""Takes a tuned model out of the project: `python -m sprec.export --run DIR --output DIR [--merged]`.

The output is a folder for peft (the adapter, and `base_model/` where no hub has it) or, merged, for
transformers alone, with tokenizer, `prompt.txt` and a model card whose example loads it without this project.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sprec.command_line import CommandParser, run_command
from sprec.recommend import read_record

if TYPE_CHECKING:
    from sprec.experiment.model_card import AdapterBase
    from sprec.experiment.reload import ReloadedRun, TunedModel
    from sprec.llm.language_model import LanguageModel


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder; return 0, or 2 after one line on what is wrong."""
    return run_command(_parser(), arguments, _export, RuntimeError)


def _export(options: argparse.Namespace) -> None:
    record = read_record(options.run)
    _check_output(options.output)
    from sprec.experiment.reload import ReloadedRun, tuned_models  # heavy: wrong folders fail before it

    model = choose_state(tuned_models(record), options.state)
    export(ReloadedRun.from_record(record), model, options.output, merged=options.merged)
    sys.stdout.write(f"{options.output}: {model.label} of {options.run}; read its README.md\n")


def choose_state(models: "Sequence[TunedModel]", label: str | None) -> "TunedModel":
    """Return the model of this label, the last one for None; `ValueError` naming those that there are."""
    labels = [model.label for model in models]
    if label is not None and label not in labels:
        raise ValueError(f"the run has no state {label!r}; choose one of {', '.join(labels)}")
    return models[-1 if label is None else labels.index(label)]


def export(run: "ReloadedRun", state: "TunedModel", output: Path, *, merged: bool) -> None:
    """Write the model of a state, whole or not at all."""
    from sprec.experiment.model_card import write_card

    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        model = run.context.model.load(run.model_folder(state))
        base = _write_model(run, model, partial, merged=merged)
        model.tokenizer.save_pretrained(partial)
        text, options = prompt_text(model, run.dataset.catalog.titles[:3])
        (partial / "prompt.txt").write_text(text, encoding="utf-8", newline="\n")
        write_card(partial / "README.md", run, state, model, base=base, tokenize_options=options)
        if output.is_dir():
            output.rmdir()  # checked to be empty
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def prompt_text(model: "LanguageModel", history: Sequence[str]) -> tuple[str, str]:
    """Return the prompt with {history}, and options with which the tokenizer makes this run's tokens of it.

    `ValueError` where it makes other ones.
    """
    before, _, after = model.prompt.parts(history)
    text = before + "{history}" + after.removesuffix(model.tokens.answer_lead())
    filled = text.replace("{history}", ", ".join(f'"{title}"' for title in history))
    expected = model.encode(history).prompt
    for options in ("", ", add_special_tokens=False"):
        special = {"add_special_tokens": False} if options else {}
        if tuple(model.tokenizer(filled, **special).input_ids) == expected:
            return text, options
    raise ValueError("this tokenizer needs the project to tokenise prompts; export is for those that do not")


def _write_model(
    run: "ReloadedRun", model: "LanguageModel", folder: Path, *, merged: bool
) -> "AdapterBase | None":
    """Write adapter or whole model as safetensors; return where an adapter's base model is, or None."""
    from sprec.experiment.model_card import AdapterBase
    from sprec.experiment.prepare import store_base_model
    from sprec.llm.base_models import plain_generation

    network: Any = model.network
    model.base_model.generation_config = plain_generation(model.base_model)
    if not hasattr(network, "peft_config"):  # every weight was tuned
        network.save_pretrained(folder)
        return None
    source, stored = (
        getattr(run.components.weights, "source", None),
        store_base_model(run.components, run.dataset),
    )
    is_hub_name = isinstance(source, str) and not Path(source).expanduser().is_dir()
    revision = getattr(run.components.weights, "commit", None) if is_hub_name else None
    base = AdapterBase(str(source) if is_hub_name else "base_model", revision)
    for config in network.peft_config.values():
        config.base_model_name_or_path, config.revision = base.place, base.revision
    # "auto" would ask the hub whether the vocabulary has grown, which it never does here.
    network.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's template of a card
    if merged:
        _merge(folder, stored, model.dtype)
        return None
    if not is_hub_name:
        shutil.copytree(stored, folder / base.place, ignore=shutil.ignore_patterns("stage.json"))
    return base


def _merge(folder: Path, base: Path, dtype: Any) -> None:
    """Replace the adapter in the folder by the whole model, with stock peft and transformers."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from sprec.llm.base_models import plain_generation

    whole: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True), folder
    )
    for file in folder.glob("adapter_*"):
        file.unlink()
    model = whole.merge_and_unload()
    model.generation_config = plain_generation(model)
    model.save_pretrained(folder)


def _check_output(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"--output {folder} exists already; name a new folder")


def _parser() -> CommandParser:
    parser = CommandParser("sprec.export", (__doc__ or "").partition("\n")[0])
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="output folder of a run")
    parser.add_argument("--state", metavar="LABEL", help="initial_sft, iteration_1, … (default: the last)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder to write")
    parser.add_argument("--merged", action="store_true", help="a whole model in place of an adapter")
    return parser


if __name__ == "__main__":
    sys.exit(main())
