"""The one text layout: a history goes in, a title comes out."""

from collections.abc import Sequence
from dataclasses import dataclass

from sprec.data.catalog import normalise
from sprec.data.examples import Wording

ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{lead}{history}{close}\n\n### Response:\n"
)


@dataclass(frozen=True)
class Prompt:
    """A template with the fields instruction, lead, history and close, filled with a dataset's wording.

    The opening quote belongs to the prompt and the closing quote to the answer, which ends with it.
    """

    wording: Wording
    template: str = ALPACA

    def text(self, history: Sequence[str]) -> str:
        """Return the prompt for these titles, oldest first.

        >>> Prompt(Wording("Recommend.", "Seen: "), "{instruction} {lead}{history}. ").text(["Ran", "Heat"])
        'Recommend. Seen: "Ran", "Heat". "'
        """
        titles = ", ".join(f'"{title}"' for title in history)
        wording = self.wording
        return (
            self.template.format(
                instruction=wording.instruction, lead=wording.lead, history=titles, close=wording.close
            )
            + '"'
        )

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
