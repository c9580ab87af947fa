"""The card of an exported model: its origin, its scores, and how to load it without this project."""

from dataclasses import dataclass
from pathlib import Path

import torch

from sprec.experiment.reload import ReloadedRun, TunedModel
from sprec.llm.base_models import plain_generation
from sprec.llm.language_model import LanguageModel

DATA_TERMS = {
    "movielens": "GroupLens' terms: research use, no redistribution, no commercial use without permission",
    "goodreads": "UCSD Book Graph: academic use only, no redistribution, no commercial use",
    "steam": "UCSD Steam reviews: for research; cite Kang and McAuley 2018",
    "cds_and_vinyl": "Amazon reviews (UCSD): for research; cite Ni et al. 2019",
    "toy": "generated from a seed: no terms",
}
"""What providers ask of those who use their data, by the beginning of a dataset's name."""


@dataclass(frozen=True)
class AdapterBase:
    """Where an adapter's base model is: a hub name with its revision, or a folder, which has none."""

    place: str
    revision: str | None = None


def write_card(
    path: Path,
    run: ReloadedRun,
    state: TunedModel,
    model: LanguageModel,
    *,
    base: AdapterBase | None,
    tokenize_options: str,
) -> None:
    """Write the card as Markdown.

    Args:
        path: The file.
        run: The run that made the model.
        state: Which of its models.
        model: The same, loaded.
        base: An adapter's base model, None for a whole model.
        tokenize_options: What the tokenizer is called with beside the prompt, as Python arguments.

    """
    record = run.record
    rows = record.dataset.rows
    lines = [
        f"# {record.dataset.name} × {record.weights.name}: {state.label} of {record.method}",
        "",
        "A language model that writes the title of the item that a user takes next, tuned with `sprec`.",
        "",
        f"* Data: {record.dataset.name} ({record.dataset.items} items; rows: {rows.train} train, "
        f"{rows.valid} valid, {rows.test} test; digest `{record.dataset.digest[:12]}`)",
        f"* Base model: {record.weights.name} (digest `{record.weights.digest[:12]}`), {record.precision}",
        f"* Seed {record.seed}, commit {record.commit or 'unknown'}{' with changes' if record.dirty else ''}",
        f"* Made by: `{record.command}`",
        "",
        "## Load",
        "",
        "```python",
        *load_lines(model, base, tokenize_options),
        "```",
        "",
        "Run it in this folder. A title is what is written up to its closing quote:",
        "",
        "```python",
        *write_lines(model, base),
        "```",
        "",
        *rounding_lines(model, base),
        "## Scores",
        "",
        *_score_lines(run, state),
        "",
        "## Licence",
        "",
        f"The weights derive from {record.weights.name}: its licence holds for them. {_terms(run)}. "
        "A model that writes titles may repeat its data: pass on no more than these terms allow.",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def load_lines(model: LanguageModel, base: AdapterBase | None, tokenize_options: str) -> list[str]:
    """Return five lines of Python that load the model and tokenise a prompt."""
    dtype = str(model.dtype).removeprefix("torch.")
    place = "." if base is None else base.place
    revision = f', revision="{base.revision}"' if base and base.revision else ""
    loaded = f'AutoModelForCausalLM.from_pretrained("{place}", dtype="{dtype}"{revision})'
    titles = '"First title", "Second title"'
    text = f'open("prompt.txt", encoding="utf-8").read().replace("{{history}}", {titles!r})'
    return [
        # `dtype` was called `torch_dtype` before transformers 4.56.
        "from peft import PeftModel" if base else "import transformers  # 4.56 or later",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        'tokenizer = AutoTokenizer.from_pretrained(".")',
        f'model = PeftModel.from_pretrained({loaded}, ".")' if base else f"model = {loaded}",
        f'ids = tokenizer({text}, return_tensors="pt"{tokenize_options}).input_ids',
    ]


def write_lines(model: LanguageModel, base: AdapterBase | None) -> list[str]:
    """Return lines of Python that write a title with what `load_lines` made, as the run does."""
    # A base model brings its own settings, such as a penalty on repeats, which apply wherever `generate` is
    # given none; a whole model was saved without any.
    plain = [
        "from transformers import GenerationConfig",
        f"model.generation_config = GenerationConfig(eos_token_id={_end_of_text(model)})",
    ]
    return [
        *(plain if base else []),
        f"ids = model.generate(ids, max_new_tokens={model.tokens.longest_title}, do_sample=False)"
        "[0, ids.shape[1]:]",
        "answer = tokenizer.decode(ids, skip_special_tokens=True)",
        read_line(opened=model.tokens.opened),
    ]


def rounding_lines(model: LanguageModel, base: AdapterBase | None) -> list[str]:
    """Return what a reader of an adapter in half precision must know, no line for other models."""
    if base is None or model.dtype == torch.float32:
        return []
    number_format = str(model.dtype).removeprefix("torch.")
    return [
        f"The run merged these adapters before it wrote. Beside their base, in {number_format}, sums round "
        "otherwise, and now and then another title wins; `--merged` exports what the run wrote with.",
        "",
    ]


def read_line(*, opened: bool) -> str:
    """Return a line of Python that prints the title in `answer` as `read_title` reads it."""
    start = "answer" if opened else """answer.lstrip().partition("\\n")[0]"""
    inside = start if opened else f"""(answer.partition('"')[2] if '"' in {start} else {start})"""
    return f"""print({inside}.split('"')[0].partition("\\n")[0].strip())"""


def _end_of_text(model: LanguageModel) -> int | list[int] | None:
    own: int | list[int] | None = plain_generation(model.base_model).eos_token_id
    return model.tokenizer.eos_token_id if own is None else own


def _score_lines(run: ReloadedRun, state: TunedModel) -> list[str]:
    lines = []
    for evaluation in run.record.evaluations:
        if evaluation.label == state.label:
            lines += [f"On {evaluation.n} users of {evaluation.split}, ranked by {evaluation.ranking}:", ""]
            lines += ["| metric | score |", "|---|---|"]
            lines += [f"| {name} | {score:.4f} |" for name, score in evaluation.scores.items()]
    return lines


def _terms(run: ReloadedRun) -> str:
    name = run.record.dataset.name
    terms = next((terms for start, terms in DATA_TERMS.items() if name.startswith(start)), None)
    return f"Data: {terms}" if terms else f"Data: ask the provider of {name}"
