"""Prompts: the text around a user's history, and how an answer states a title."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sprec.data.catalog import normalise
from sprec.data.examples import Wording

Step = Literal["sft", "dpo", "inference"]
"""What a prompt is for: tuning on titles, tuning on pairs, or writing and ranking titles."""

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
class PromptTemplates:
    """One template per step, Alpaca's by default; the fields are instruction, lead, history and close."""

    sft: str = ALPACA
    dpo: str = ALPACA
    inference: str = ALPACA

    def for_chat(self, apply_chat: Callable[[str], str]) -> "PromptTemplates":
        """Return these templates, which use no chat template."""
        return self


def released_templates() -> PromptTemplates:
    """Return the three of SPRec's released code: indented, without a frame, with two stray spaces."""
    return PromptTemplates(sft=INDENTED, dpo=BARE, inference=SPACED)


@dataclass(frozen=True)
class ChatLayout:
    """The base LLM's own chat template in every step, with instruction and input as the user's message."""

    message: str = "{instruction}\n{lead}{history}{close}"

    def for_chat(self, apply_chat: Callable[[str], str]) -> PromptTemplates:
        """Return the message in the chat template, whose own braces are escaped.

        >>> ChatLayout("{instruction} {history}").for_chat(lambda text: f"<{{user}}>{text}<bot>").sft
        '<{{user}}>{instruction} {history}<bot>'
        """
        # A mark goes through the template in place of the message, whose fields are filled in later.
        before, _, after = apply_chat(_MARK).partition(_MARK)
        template = before.translate(_BRACES) + self.message + after.translate(_BRACES)
        return PromptTemplates(template, template, template)


_MARK, _BRACES = "MESSAGE", str.maketrans({"{": "{{", "}": "}}"})
ALPACA_TEMPLATES = PromptTemplates()


@dataclass(frozen=True)
class Prompt:
    """Each step's template, filled with a dataset's wording.

    The opening quote is the end of the prompt, the closing quote the end of the answer.
    """

    wording: Wording
    templates: PromptTemplates = ALPACA_TEMPLATES

    def text(self, history: Sequence[str], step: Step = "inference") -> str:
        """Return the step's prompt for these titles, oldest first.

        >>> Prompt(Wording("Recommend. ", "Seen: ", "."), released_templates()).text(["Ran", "Heat"], "dpo")
        'Recommend. Seen: "Ran", "Heat"."'
        """
        template: str = getattr(self.templates, step)
        titles = ", ".join(f'"{title}"' for title in history)
        wording = self.wording
        filled = template.format(
            instruction=wording.instruction, lead=wording.lead, history=titles, close=wording.close
        )
        return filled + '"'

    @staticmethod
    def answer(title: str) -> str:
        r"""Return what the model should write for a title.

        >>> Prompt.answer('The "Real" Thing')
        'The \'Real\' Thing"'
        """
        return normalise(title) + '"'

    @staticmethod
    def title(answer: str) -> str:
        r"""Return the title that an answer states: what stands before its first quote or line break.

        >>> Prompt.title('Heat (1995)", "Ran'), Prompt.title("\n")
        ('Heat (1995)', '')
        """
        return normalise(answer.split('"')[0].split("\n")[0])
