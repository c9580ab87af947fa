"""What a stage will cost: operations, bytes and seconds from the number of rows, before anything runs.

Rows are taken to be of equal, average length. Products run at the share of the measured peak that the
benchmark finds; writing a token reads every weight once for each group of rows.
"""

from dataclasses import dataclass

from sprec.bench.flops import Load, Shape, reading, training


@dataclass(frozen=True)
class Speed:
    """A machine: FLOP per second of its products, the share of it that a pass reaches, bytes per second.

    `devices` share the rows evenly; what they tell each other is not counted, as adapters are small.
    """

    peak_flops: float
    share: float
    bytes_per_second: float
    devices: int = 1


@dataclass(frozen=True)
class Lengths:
    """Average tokens: of a prompt, of the part that all prompts share, of a title and its closing quote."""

    prompt: float
    shared: float
    title: float


@dataclass(frozen=True)
class Cost:
    """FLOPs and bytes over all devices, seconds on the clock."""

    flops: float
    bytes: float
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes, self.seconds + other.seconds)


def planned(rows: int, lengths: Lengths, *, answers: int, passes: int = 1, whole: bool = False) -> Load:
    """Return the load of so many rows read in `passes`, each of which reads the shared prefix once.

    `whole` predicts what differs between prompts too, as `learns=history` does.

    >>> planned(2, Lengths(prompt=3, shared=2, title=2), answers=1)
    Load(tokens=6, pairs=17, predicted=4)
    """
    own, title, shared = lengths.prompt - lengths.shared, lengths.title, lengths.shared
    tokens = passes * shared + rows * (own + answers * (title - 1))
    pairs = passes * _seen(0, shared)
    pairs += rows * (_seen(shared, own) + answers * _seen(lengths.prompt, title - 1))
    predicted = rows * (answers * title + (own if whole else 0))
    return Load(round(tokens), round(pairs), round(predicted))


def _seen(before: float, own: float) -> float:
    return before * own + own * (own + 1) / 2


def sft(
    shape: Shape,
    rows: int,
    lengths: Lengths,
    speed: Speed,
    *,
    batch_rows: int,
    epochs: int,
    whole: bool = False,
) -> Cost:
    """Return the cost of SFT."""
    passes = -(-rows // batch_rows)
    asked = planned(rows, lengths, answers=1, passes=passes, whole=whole)
    return _computed(epochs * training(shape, asked), speed)


def preference(
    shape: Shape,
    rows: int,
    lengths: Lengths,
    speed: Speed,
    *,
    negatives: int,
    batch_rows: int,
    epochs: int,
) -> Cost:
    """Return the cost of DPO and its kin: the reference's one pass, then the epochs."""
    asked = planned(rows, lengths, answers=1 + negatives, passes=-(-rows // batch_rows))
    return _computed(reading(shape, asked) + epochs * training(shape, asked), speed)


def writing(
    shape: Shape, rows: int, lengths: Lengths, speed: Speed, *, reading_tokens: int, weight_bytes: int = 2
) -> Cost:
    """Return the cost of one greedy title per row, for self-play as for evaluation by grounding."""
    groups = -(-rows * round(lengths.prompt) // reading_tokens)
    prompts = Load(*_prompts(rows, lengths, groups), predicted=rows)
    token = shape.weights + shape.hidden * shape.vocabulary
    flops = reading(shape, prompts) + 2 * token * rows * lengths.title
    return _computed(flops, speed, weight_bytes * token * groups * lengths.title)


def _prompts(rows: int, lengths: Lengths, groups: int) -> tuple[int, int]:
    asked = planned(rows, Lengths(lengths.prompt, lengths.shared, 1), answers=1, passes=groups)
    return asked.tokens, asked.pairs


def _computed(flops: float, speed: Speed, moved: float = 0.0) -> Cost:
    seconds = flops / (speed.peak_flops * speed.share) + moved / speed.bytes_per_second
    return Cost(flops, moved, seconds / speed.devices)
