"""What both sides share: model, adapter, rows, precision, threads."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import yaml

from sprec.data.examples import Example
from sprec.data.prompts import INDENT
from sprec.experiment.build import build_components
from sprec.experiment.config import Settings, validate_settings
from sprec.experiment.prepare import build_context, load_or_build_dataset
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow, with_loss_on
from sprec.seeds import stream
from sprec.training.context import StageContext

RANK, ALPHA = 16, 32


@dataclass(frozen=True)
class TextRow:
    """A prompt and its answers as text, the true one first."""

    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A step on `rows` rows with `negatives` random titles each; `tuned` is the folder of its adapters."""

    settings: Settings
    rows: int
    negatives: int = 0
    tuned: Path | None = None

    @cached_property
    def engine(self) -> StageContext:
        """Data and model, as a run builds them."""
        components = build_components(self.settings)
        return build_context(components, self.settings, load_or_build_dataset(components))[0]

    @cached_property
    def model(self) -> LanguageModel:
        """The recommender with its adapters loaded."""
        return self.engine.model.load(self.tuned)

    def with_model_of(self, other: "Setting") -> "Setting":
        """Return a copy with the loaded data and model of `other`, which may differ in rows and precision."""
        copy = replace(self)
        vars(copy).update(engine=other.engine, model=other.model)  # fills the cached properties
        return copy

    @property
    def folder(self) -> Path:
        """The folder of the base weights, in the layout of transformers."""
        return Path(self.model.tokenizer.name_or_path)

    @property
    def bf16(self) -> bool:
        """Whether products are computed in bfloat16."""
        return self.settings.trainer.precision == "bf16"

    @property
    def precision(self) -> str:
        """The number format of products, as rows are named."""
        return "bf16" if self.bf16 else "float32"

    @cached_property
    def row_numbers(self) -> list[int]:
        """Numbers of the training rows; the first n are the same whatever `rows` is."""
        order = stream(0, "bench", "rows").permutation(len(self.engine.dataset.split.train))
        numbers: list[int] = order[: self.rows].tolist()
        return numbers

    @cached_property
    def examples(self) -> list[Example]:
        """The training rows."""
        return list(self.engine.dataset.split.train.take(self.row_numbers))

    @cached_property
    def titles(self) -> list[tuple[str, ...]]:
        """The true title of each row and its random negatives."""
        catalog = self.engine.dataset.catalog.titles
        negatives = stream(0, "bench", "negatives").integers(len(catalog), size=(self.rows, self.negatives))
        return [
            (catalog[example.target], *(catalog[i] for i in rejected))
            for example, rejected in zip(self.examples, negatives.tolist(), strict=True)
        ]

    def encode_rows(self) -> list[TokenRow]:
        """Return the rows as tokens."""
        catalog = self.engine.dataset.catalog.titles
        return [
            self.model.encode([catalog[i] for i in example.history], titles)
            for example, titles in zip(self.examples, self.titles, strict=True)
        ]

    def encode_released_rows(self) -> list[TokenRow]:
        """Return the rows as the released SFT learns them: all of their tokens, without an end of text.

        A line break and an indent follow the title, as its template has them.
        """
        tail = tuple(self.model.tokenizer(f"\n{INDENT}", add_special_tokens=False).input_ids)
        rows = [TokenRow(row.prompt, (row.answers[0] + tail,)) for row in self.encode_rows()]
        return with_loss_on(rows, "sequence")

    def texts(self) -> list[TextRow]:
        """Return the rows as text, for trainers that tokenise by themselves."""
        catalog, prompt = self.engine.dataset.catalog.titles, self.model.prompt
        return [
            TextRow(
                prompt.text([catalog[i] for i in example.history]),
                tuple(prompt.answer(title) for title in titles),
            )
            for example, titles in zip(self.examples, self.titles, strict=True)
        ]


def default_settings(*overrides: str, bf16: bool, threads: int) -> Settings:
    """Return the settings of the default run, MovieLens-100K × SmolLM2-135M on the CPU, with overrides."""
    arguments = [
        *("dataset=movielens", "base_llm=smollm2_135m", "tracker=silent", "trainer=cpu"),
        f"base_llm.lora={{rank: {RANK}, alpha: {ALPHA}, dropout: 0.0}}",
        f"trainer.precision={'bf16' if bf16 else 'float32'}",
        f"trainer.threads={threads}",
        *overrides,
    ]
    command = [sys.executable, "-m", "sprec.run", "--cfg", "job", "--resolve", *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    return validate_settings(yaml.safe_load(printed.stdout))
