"""The text around a history in each step: a history goes in, a title comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sprec.data.catalog import normalise
from sprec.data.examples import Wording

Step = Literal["sft", "dpo", "reading"]
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


class Layout(Protocol):
    """Says which template each step has."""

    def fitted(self, chat: Callable[[str], str]) -> "Templates":
        """Return the templates for a base LLM that frames a user's message as `chat` does."""
        ...


@dataclass(frozen=True)
class Templates:
    """One template per step, with fields instruction, lead, history and close; by default Alpaca's in all."""

    sft: str = ALPACA
    dpo: str = ALPACA
    reading: str = ALPACA

    def fitted(self, chat: Callable[[str], str]) -> "Templates":
        """Return these templates: a chat's frame plays no part."""
        return self


def released() -> Templates:
    """Return the three of SPRec's released code: indented, without a frame, with two stray spaces."""
    return Templates(sft=INDENTED, dpo=BARE, reading=SPACED)


@dataclass(frozen=True)
class Chat:
    """The base LLM's own chat template in every step, around instruction and input as the user's message."""

    message: str = "{instruction}\n{lead}{history}{close}"

    def fitted(self, chat: Callable[[str], str]) -> Templates:
        """Return the framed message; what the frame itself has in braces stays as it is.

        >>> Chat("{instruction} {history}").fitted(lambda text: f"<{{user}}>{text}<bot>").sft
        '<{{user}}>{instruction} {history}<bot>'
        """
        before, _, after = chat(_MARK).partition(_MARK)
        template = before.translate(_BRACES) + self.message + after.translate(_BRACES)
        return Templates(template, template, template)


_MARK, _BRACES = "MESSAGE", str.maketrans({"{": "{{", "}": "}}"})
AS_ALPACA = Templates()


@dataclass(frozen=True)
class Prompt:
    """Each step's template, filled with a dataset's wording.

    The opening quote belongs to the prompt and the closing quote to the answer, which ends with it.
    """

    wording: Wording
    templates: Templates = AS_ALPACA

    def text(self, history: Sequence[str], step: Step = "reading") -> str:
        """Return the step's prompt for these titles, oldest first.

        >>> Prompt(Wording("Recommend. ", "Seen: ", "."), released()).text(["Ran", "Heat"], "dpo")
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
        r"""Return what the model has to write for a title.

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
