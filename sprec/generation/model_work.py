"""What a sampler or a ranker asks of the model: read for stage keys and for estimates of time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelWork:
    """Work for an average example; what needs no model asks for none.

    `titles` are written by the model, `embedded` are put through the embedder. `beam_widths` and
    `scored_answers` say for which share of the examples a beam search of that width runs, or hidden states
    of that many answers are read.
    """

    titles: float = 0.0
    embedded: float = 0.0
    beam_widths: Mapping[int, float] = field(default_factory=dict)
    scored_answers: Mapping[int, float] = field(default_factory=dict)

    @property
    def uses_model(self) -> bool:
        """Whether the model is asked for anything."""
        return bool(self.titles or self.beam_widths or self.scored_answers)

    @classmethod
    def mean(cls, parts: Iterable[tuple[float, "ModelWork"]]) -> "ModelWork":
        """Return the average over shares of the examples.

        >>> ModelWork.mean([(0.75, ModelWork(titles=2)), (0.25, ModelWork(beam_widths={10: 1.0}))])
        ModelWork(titles=1.5, embedded=0.0, beam_widths={10: 0.25}, scored_answers={})
        """
        titles = embedded = 0.0
        beam_widths: dict[int, float] = {}
        scored_answers: dict[int, float] = {}
        for share, work in parts:
            titles, embedded = titles + share * work.titles, embedded + share * work.embedded
            for total, own in (beam_widths, work.beam_widths), (scored_answers, work.scored_answers):
                for size, examples in own.items():
                    total[size] = total.get(size, 0.0) + share * examples
        return cls(titles, embedded, beam_widths, scored_answers)
