"""What both sides share: model, adapter, rows, precision, threads."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import yaml

from sprec.data.examples import Example
from sprec.data.prompts import INDENT
from sprec.experiment.build import build, drawn, engine, stored
from sprec.experiment.config import Settings, validate_settings
from sprec.llm.language_model import LanguageModel
from sprec.llm.token_rows import TokenRow, with_loss_on
from sprec.seeds import stream
from sprec.training.context import StageContext

RANK, ALPHA = 16, 32


@dataclass(frozen=True)
class Texts:
    """A prompt and its answers as text, the true one first."""

    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A step of `rows` rows with `negatives` random titles each; `tuned` names a folder of adapters."""

    settings: Settings
    rows: int
    negatives: int = 0
    tuned: Path | None = None

    @cached_property
    def engine(self) -> StageContext:
        """Data and model as a run has them."""
        built = build(self.settings)
        whole = stored(built)
        return engine(built, self.settings, drawn(whole, self.settings), whole.digest)[0]

    @cached_property
    def model(self) -> LanguageModel:
        """The recommender with adapters of r 16."""
        return self.engine.model.load(self.tuned)

    def lent(self, other: "Setting") -> "Setting":
        """Return this setting with data and model of another that differs in rows or precision alone."""
        own = replace(self)
        vars(own).update(engine=other.engine, model=other.model)
        return own

    @property
    def folder(self) -> Path:
        """Where the base weights lie in the layout of transformers."""
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
    def numbers(self) -> list[int]:
        """Numbers of the training rows, drawn by name: the first n are the same whatever `rows` is."""
        order = stream(0, "bench", "rows").permutation(len(self.engine.dataset.split.train))
        drawn: list[int] = order[: self.rows].tolist()
        return drawn

    @cached_property
    def examples(self) -> list[Example]:
        """The training rows."""
        return list(self.engine.dataset.split.train.take(self.numbers))

    @cached_property
    def titles(self) -> list[tuple[str, ...]]:
        """The true title of each row and its random negatives."""
        catalog = self.engine.dataset.catalog.titles
        drawn = stream(0, "bench", "negatives").integers(len(catalog), size=(self.rows, self.negatives))
        return [
            (catalog[example.target], *(catalog[i] for i in others))
            for example, others in zip(self.examples, drawn.tolist(), strict=True)
        ]

    def encoded(self) -> list[TokenRow]:
        """Return the rows as tokens."""
        catalog = self.engine.dataset.catalog.titles
        return [
            self.model.encode([catalog[i] for i in example.history], titles)
            for example, titles in zip(self.examples, self.titles, strict=True)
        ]

    def released(self) -> list[TokenRow]:
        """Return the rows as the released SFT learns them: all of their tokens, and no end of text.

        A line break and an indent follow the title, as its template is written.
        """
        tail = tuple(self.model.tokenizer(f"\n{INDENT}", add_special_tokens=False).input_ids)
        rows = [TokenRow(row.prompt, (row.answers[0] + tail,)) for row in self.encoded()]
        return with_loss_on(rows, "sequence")

    def plain(self) -> "Setting":
        """Return this setting for a peer: the C library of its process has its own setting."""
        trainer = self.settings.trainer.model_copy(update={"keep_freed": False})
        return replace(self, settings=self.settings.model_copy(update={"trainer": trainer}))

    def texts(self) -> list[Texts]:
        """Return the rows as text, as a trainer that has its own tokenisation wants them."""
        catalog, prompt = self.engine.dataset.catalog.titles, self.model.prompt
        return [
            Texts(
                prompt.text([catalog[i] for i in example.history]),
                tuple(prompt.answer(title) for title in titles),
            )
            for example, titles in zip(self.examples, self.titles, strict=True)
        ]


def configured(*changes: str, bf16: bool, threads: int) -> Settings:
    """Return the settings of the default run on MovieLens-100K with SmolLM2-135M on the CPU, some changed."""
    overrides = [
        *("dataset=movielens", "base_llm=smollm2_135m", "tracker=silent", "trainer=cpu"),
        f"base_llm.lora={{rank: {RANK}, alpha: {ALPHA}, dropout: 0.0}}",
        f"trainer.precision={'bf16' if bf16 else 'float32'}",
        f"trainer.threads={threads}",
        *changes,
    ]
    command = [sys.executable, "-m", "sprec.run", "--cfg", "job", "--resolve", *overrides]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return validate_settings(yaml.safe_load(told.stdout))
