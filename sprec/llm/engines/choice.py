"""Which engine computes a model: the fast one only where it was seen to agree with the plain one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sprec.llm.engines import fast
from sprec.llm.engines.interface import ModelEngine
from sprec.llm.engines.plain import PlainEngine
from sprec.llm.token_rows import TokenRow

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
TOLERANCE_NATS = 1e-3
"""Float32 rounding in 30 layers over 500 tokens stays some ten times below this; a soft cap, a window or a
scale that is left out does not."""
ANSWER_TOKENS = (32, 5)
"""Lengths of the random answers: a row reaches past the cutoff by as much as titles do."""
ADAPTER_DEVIATION = 0.02
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What an engine may raise that does not fit a model."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine in use, how far `fast` was from `plain` in nats (None: it did not run), and why not `fast`.

    `cached` says whether the plain engine may decode with transformers' cache.
    """

    engine: str
    cached: bool
    difference_nats: float | None
    reason: str


def choose_engine(requested: str, base_model: Any, *, cutoff_tokens: int) -> EngineChoice:
    """Return the engine for a float32 model with its adapters: `requested` is "fast", "plain" or "auto".

    Scores two random rows, one of cutoff length, and writes a step after each, both ways, with adapters that
    change what the model says. `ValueError` where "fast" is asked for and differs.
    """
    rows, model_type = _random_rows(base_model, cutoff_tokens), base_model.config.model_type
    base_model.eval()
    with torch.no_grad(), _random_adapters(base_model):
        reference = PlainEngine(base_model, cached=False)
        expected = _score_and_decode(reference, rows)
        _check_causality(reference, rows[1], model_type)
        cached, _ = _compare(lambda: PlainEngine(base_model, cached=True), _decode, rows, expected[1:])
        agrees = cached is not None and cached <= TOLERANCE_NATS
        if requested == "plain":
            return EngineChoice("plain", agrees, None, "engine=plain")
        difference, reason = _compare(lambda: fast.install(base_model), _score_and_decode, rows, expected)
    if difference is not None and difference <= TOLERANCE_NATS:
        return EngineChoice("fast", agrees, difference, "")
    reason = reason or f"{difference:.2g} nats from the plain engine"
    if requested == "fast":
        raise ValueError(f"engine=fast does not fit {model_type} ({reason}); use engine=auto or engine=plain")
    return EngineChoice("plain", agrees, difference, reason)


def _check_causality(engine: ModelEngine, row: TokenRow, model_type: str) -> None:
    """Raise `ValueError` for a model in which later tokens change what is predicted from earlier ones."""
    first, *rest = row.answers[0]
    other = TokenRow(row.prompt, ((first, *reversed(rest)),))
    # The first two tokens are predicted before the answers differ.
    pair = [engine.token_logits([one])[:2] for one in (TokenRow(row.prompt, row.answers[:1]), other)]
    if float((pair[0] - pair[1]).abs().max()) > TOLERANCE_NATS:
        raise ValueError(f"{model_type} reads tokens that come later; choose a causal language model")


def report_choice(choice: EngineChoice, requested: str, model_type: str) -> None:
    """Log one line where `auto` falls back to the plain engine."""
    if requested == "auto" and choice.engine == "plain":
        log.warning("engine=auto: %s is computed by the plain engine (%s)", model_type, choice.reason)


def _compare(
    make: Callable[[], ModelEngine],
    compute: Callable[[ModelEngine, Sequence[TokenRow]], list[Tensor]],
    rows: Sequence[TokenRow],
    expected: Sequence[Tensor],
) -> tuple[float | None, str]:
    """Return the largest difference from the expected outputs in nats, or None and why there is none."""
    try:
        outputs = compute(make(), rows)
    except torch.OutOfMemoryError:
        raise  # of this moment and not of the model: it must not be stored
    except FAILURES as error:
        return None, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    pairs = zip(outputs, expected, strict=True)
    largest = max(float((one - other).abs().max()) for one, other in pairs)
    return (None, "its log-probabilities are not numbers") if math.isnan(largest) else (largest, "")


def _score_and_decode(engine: ModelEngine, rows: Sequence[TokenRow]) -> list[Tensor]:
    """Return log-probabilities of the rows' answers, and what `_decode` returns."""
    return [engine.log_probs(rows), *_decode(engine, rows)]


def _decode(engine: ModelEngine, rows: Sequence[TokenRow]) -> list[Tensor]:
    """Return log-probabilities of what follows prompts and one token more, and of forced tails."""
    long, short = rows
    state, first = engine.prefill([long.prompt, short.prompt, short.prompt])
    # Rows change places and double, as they do in a beam search.
    device = first.device
    state = state.select_rows(torch.tensor([2, 0, 1], device=device))
    answers = [*short.answers, long.answers[0]]
    second = state.step(torch.tensor([answer[:1] for answer in answers], device=device))
    state = state.select_rows(torch.tensor([0, 2], device=device))  # the short prompt alone: tails are cheap
    tail = torch.tensor([answer[1:4] for answer in answers[:2]], device=device)
    real = torch.tensor([[True, True, True], [True, False, False]], device=device)
    forced = state.tail_log_probs(tail, real, tail[real])
    return [first.log_softmax(-1), second.log_softmax(-1), forced]


def _random_rows(base_model: Any, cutoff_tokens: int) -> list[TokenRow]:
    """Return two rows of random tokens that begin alike: one as long as prompts get, one short."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = base_model.config.vocab_size
    long, short = cutoff_tokens, max(cutoff_tokens // 8, 2)

    def draw(count: int) -> tuple[int, ...]:
        """Return random token ids."""
        return tuple(torch.randint(0, vocabulary, (count,), generator=generator).tolist())

    shared = draw(short // 2)
    return [
        TokenRow(shared + draw(length - len(shared)), tuple(map(draw, ANSWER_TOKENS)))
        for length in (long, short)
    ]


@contextmanager
def _random_adapters(base_model: Any) -> Iterator[None]:
    """Have adapters add something while the block lasts: a fresh one's B is zero and would hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    ups = [weight for name, weight in base_model.named_parameters() if "lora_B" in name]
    originals = [weight.detach().clone() for weight in ups]
    for weight in ups:
        weight.copy_(ADAPTER_DEVIATION * torch.randn(weight.shape, generator=generator))
    try:
        yield
    finally:
        for weight, original in zip(ups, originals, strict=True):
            weight.copy_(original)
