"""Prompts: the text around a user's history, and how an answer states a title."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Formatter
from typing import Literal, Protocol

from sprec.data.catalog import normalise
from sprec.data.examples import Wording

Step = Literal["sft", "dpo", "inference"]
"""What a prompt is for: tuning on titles, tuning on pairs, or writing and ranking titles."""
Side = Literal["chosen", "rejected"]
"""Which answer of a pair; SFT, writing and ranking have chosen ones alone."""
AnswerEnd = Literal["quote", "line_break", "end_of_text"]
"""What an answer ends with: its closing quote, or that and a line break or the end-of-text token."""
FIELDS = frozenset({"instruction", "lead", "history", "close"})
"""What a template can hold: a dataset's wording, and `history`, which it must hold once."""

ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{lead}{history}{close}\n\n### Response:\n"
)
BARE = "{instruction}{lead}{history}{close}"
INDENT = 16 * " "
INDENTED = ALPACA.replace("\n", "\n" + INDENT)
SPACED = ALPACA.replace("request.", "request.  ") + INDENT
"""Ends with the indent that a model which learned `INDENTED` writes before its answer."""


class PromptLayout(Protocol):
    """Chooses the template of each step."""

    def for_chat(self, apply_chat: Callable[[str], str]) -> "PromptTemplates":
        """Return the templates for a base LLM whose chat template turns a user's message into a prompt."""
        ...


@dataclass(frozen=True)
class AnswerEnds:
    """What chosen and rejected answers end with.

    SPRec's released MovieLens rows have a line break after rejected titles alone, and TRL and S-DPO an
    end-of-text token after both.
    """

    chosen: AnswerEnd = "quote"
    rejected: AnswerEnd = "quote"

    def __post_init__(self) -> None:
        for side, end in vars(self).items():
            if end not in AnswerEnd.__args__:  # type: ignore[attr-defined]
                raise ValueError(
                    f"prompt.answer_end.{side} = {end!r}; choose one of quote, line_break, end_of_text"
                )


QUOTED = AnswerEnds()


@dataclass(frozen=True)
class PromptTemplates:
    """One template per step, Alpaca's by default; the fields are instruction, lead, history and close."""

    sft: str = ALPACA
    dpo: str = ALPACA
    inference: str = ALPACA
    answer_end: AnswerEnds = QUOTED

    def __post_init__(self) -> None:
        for step in ("sft", "dpo", "inference"):
            check_template(getattr(self, step), f"prompt.{step}")

    def for_chat(self, apply_chat: Callable[[str], str]) -> "PromptTemplates":
        """Return these templates, which use no chat template."""
        return self


def check_template(template: str, key: str) -> None:
    r"""Pass where a template holds {history} once and no unknown field; else `ValueError` naming its key.

    A line break or tab that was typed as a backslash and a letter is refused too.

    >>> check_template("Seen: {history} {x}", "prompt.text")
    Traceback (most recent call last):
    ValueError: prompt.text has the field {x}; use {close}, {history}, {instruction} or {lead}, {{ for a brace
    """
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{key}: {error}; write {{{{ and }}}} for braces of the text") from None
    fields = [field for _, field, _, _ in parsed if field is not None]
    if any(form or conversion for _, _, form, conversion in parsed):
        raise ValueError(f"{key} gives a field a format; write the bare name in its braces")
    if unknown := sorted(set(fields) - FIELDS):
        raise ValueError(
            f"{key} has the field {{{unknown[0]}}}; use {{close}}, {{history}}, {{instruction}} or {{lead}}, "
            "{{ for a brace"
        )
    if fields.count("history") != 1:
        raise ValueError(f"{key} holds {{history}} {fields.count('history')} times; put it there once")
    # Neither shells nor Hydra make a line break of it. A text that has line breaks means what it says.
    if (typed := re.search(r"\\[nt]", template)) and "\n" not in template:
        raise ValueError(
            f"{key} holds {typed[0]} as two characters, a backslash and a letter; write line breaks and tabs "
            "themselves, best in a file: prompt=text prompt.file=FILE"
        )


def one_text(text: str, file: str | None = None, answer_end: AnswerEnds = QUOTED) -> PromptTemplates:
    """Return templates that are the same text, or the content of a UTF-8 file, in every step.

    `ValueError` naming the setting where the file cannot be read or the text does not hold {history} once.
    """
    key = "prompt.text"
    if file is not None:
        key = f"prompt.file={file}"
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{key} cannot be read ({error}); name a UTF-8 text file") from None
    check_template(text, key)
    return PromptTemplates(text, text, text, answer_end)


def released_templates(answer_end: AnswerEnds = QUOTED) -> PromptTemplates:
    """Return the three of SPRec's released code: indented, without a frame, with two stray spaces."""
    return PromptTemplates(sft=INDENTED, dpo=BARE, inference=SPACED, answer_end=answer_end)


@dataclass(frozen=True)
class ChatLayout:
    """The base LLM's own chat template in every step, with instruction and input as the user's message."""

    message: str = "{instruction}\n{lead}{history}{close}"
    answer_end: AnswerEnds = QUOTED

    def __post_init__(self) -> None:
        check_template(self.message, "prompt.message")

    def for_chat(self, apply_chat: Callable[[str], str]) -> PromptTemplates:
        """Return the message in the chat template, whose own braces are escaped.

        Raises `ValueError` for a chat template that does not show a user's message once, as it is.

        >>> ChatLayout("{instruction} {history}").for_chat(lambda text: f"<{{user}}>{text}<bot>").sft
        '<{{user}}>{instruction} {history}<bot>'
        """
        # A mark goes through the template in place of the message, whose fields are filled in later.
        before, *others = apply_chat(_MARK).split(_MARK)
        if len(others) != 1:
            raise ValueError(
                f"prompt=chat: the base LLM's chat template shows a user's message {len(others)} times, not "
                "once and unchanged; use prompt=alpaca"
            )
        after = others[0]
        template = before.translate(_BRACES) + self.message + after.translate(_BRACES)
        return PromptTemplates(template, template, template, self.answer_end)


_HISTORY = "\0"
"""Stands for the titles while fields are filled; no text that was read holds it."""
# A word that no chat template has in its own text.
_MARK, _BRACES = "sprec-user-message-b7e1", str.maketrans({"{": "{{", "}": "}}"})
ALPACA_TEMPLATES = PromptTemplates()


@dataclass(frozen=True)
class Prompt:
    """Each step's template, filled with a dataset's wording.

    The prompt's text ends with the opening quote, the answer's title with the closing one. `titles` are those
    that can answer it: the catalogue's.
    """

    wording: Wording
    templates: PromptTemplates = ALPACA_TEMPLATES
    titles: tuple[str, ...] = field(default=(), repr=False)

    def parts(self, history: Sequence[str], step: Step = "inference") -> tuple[str, str, str]:
        """Return the step's prompt before, in and after its titles; the last part ends with the quote."""
        template: str = getattr(self.templates, step)
        # Titles come in after the fields are filled: a brace in a title is no field.
        before, _, after = template.format(**asdict(self.wording), history=_HISTORY).partition(_HISTORY)
        titles = ", ".join(f'"{title}"' for title in history)
        return before, titles, after + '"'

    def text(self, history: Sequence[str], step: Step = "inference") -> str:
        """Return the step's prompt for these titles, oldest first.

        >>> Prompt(Wording("Recommend. ", "Seen: ", "."), released_templates()).text(["Ran", "Heat"], "dpo")
        'Recommend. Seen: "Ran", "Heat"."'
        """
        return "".join(self.parts(history, step))

    def answer_end(self, side: Side) -> AnswerEnd:
        """Return what an answer of this side ends with."""
        end: AnswerEnd = getattr(self.templates.answer_end, side)
        return end

    def answer(self, title: str, side: Side = "chosen") -> str:
        r"""Return the text that the model should write for a title, but for an end-of-text token.

        >>> Prompt(Wording("", "")).answer('The "Real" Thing')
        'The \'Real\' Thing"'
        """
        return normalise(title) + '"' + ("\n" if self.answer_end(side) == "line_break" else "")


def read_title(answer: str, *, opened: bool = True) -> str:
    r"""Return the title that an answer states: what stands in its first quotes, or else on its first line.

    `opened` says that the opening quote is not part of the answer.

    >>> read_title('Heat (1995)", "Ran'), read_title("\n"), read_title(' "Heat" or "Ran', opened=False)
    ('Heat (1995)', '', 'Heat')
    """
    line = answer if opened else answer.lstrip().partition("\n")[0]
    if not opened and '"' in line:
        line = answer.partition('"')[2]
    return normalise(re.split('["\n]', line)[0])
