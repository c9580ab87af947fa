"""Prompts and titles as tokens: tokenised apart they are the tokens of the whole text."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from jaxtyping import Int8

from sprec.data.prompts import Prompt, Side, Step, read_title
from sprec.llm.token_rows import TokenRow

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
TokenIds = tuple[int, ...]


@dataclass(frozen=True)
class _Boundary:
    """Where an answer begins: `moved` last tokens of the prompt's text belong to it.

    `anchor` is a prompt, before and after its titles, whose answers are tokenised together with it; `start`
    are its tokens before the boundary. `opened` says that the opening quote stands before it.
    """

    anchor: tuple[str, str, str]
    start: TokenIds
    moved: int
    lead: str

    @property
    def opened(self) -> bool:
        """Whether the prompt ends with the opening quote."""
        return '"' not in self.lead


class PromptTokenizer:
    """Tokenises the prompts and titles of one catalogue, and reads titles from written tokens.

    A tokenizer may merge the end of a prompt with the beginning of a title ('"' and 'Heat' to '"Heat'). So
    the boundary between prompt and answer is moved forward until no title of the catalogue merges over it:
    then what is written, scored and trained on are the tokens of the whole text. `truncated_prompts` and
    `truncated_titles` count what was cut since `reset_counts`.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, *, cutoff_tokens: int) -> None:
        self.tokenizer, self.prompt, self.cutoff_tokens = tokenizer, prompt, cutoff_tokens
        self.truncated_prompts = self.truncated_titles = 0
        self._titles = prompt.titles or ("Title",)
        added = tokenizer.added_tokens_decoder.items()
        self._special_ids = {number: str(token) for number, token in added if token.special}
        # longest first, so that a token that begins another one does not hide it
        longest_first = sorted(self._special_ids.values(), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._boundaries: dict[str, _Boundary] = {}
        self._answers: dict[tuple[str, str], TokenIds] = {}
        self._rules: dict[tuple[int, torch.device], StopRule] = {}
        if "end_of_text" in vars(prompt.templates.answer_end).values() and tokenizer.eos_token_id is None:
            raise ValueError(
                "prompt.answer_end=end_of_text: this base LLM's tokenizer has no end-of-text token; "
                "use quote or line_break"
            )

    @classmethod
    def load(cls, folder: Path, prompt: Prompt, *, cutoff_tokens: int) -> PromptTokenizer:
        """Return the tokenizer of a base LLM's folder; logs how many titles it does not reproduce."""
        tokenizer = cls(
            transformers.AutoTokenizer.from_pretrained(folder), prompt, cutoff_tokens=cutoff_tokens
        )
        lost = tokenizer.lost_titles()
        log.info(
            "tokenizer: %d of %d titles do not survive it%s; the longest has %d tokens",
            *(
                len(lost),
                len(tokenizer._titles),
                f" (such as {lost[0]!r})" if lost else "",
                tokenizer.longest_title,
            ),
        )
        return tokenizer

    def reset_counts(self) -> None:
        """Count truncated prompts and titles from 0 again."""
        self.truncated_prompts = self.truncated_titles = 0

    def count_truncated(self) -> dict[str, int]:
        """Return how many prompts lost titles, and how many written titles were cut before their end."""
        return {"prompts_cut": self.truncated_prompts, "titles_cut": self.truncated_titles}

    def encode(
        self, history: Sequence[str], answers: Sequence[str] = (), *, step: Step = "inference"
    ) -> TokenRow:
        """Return the tokens of the step's prompt and of the titles that answer it, the chosen one first.

        A prompt over the cutoff loses its oldest titles, which `truncated_prompts` counts.
        """
        recent, moved = list(history), self._boundary(step).moved
        tokens = self._encode_parts(*self.prompt.parts(recent, step))
        while len(tokens) > self.cutoff_tokens and len(recent) > 1:
            recent = recent[1:]
            tokens = self._encode_parts(*self.prompt.parts(recent, step))
        self.truncated_prompts += len(recent) < len(history)
        sides: list[Side] = ["chosen", *["rejected" for _ in answers[1:]]]  # type: ignore[list-item]
        ids = tuple(
            self.encode_answer(title, step=step, side=side)
            for title, side in zip(answers, sides, strict=False)
        )
        return TokenRow((*self._starting(tokens), *tokens[: len(tokens) - moved]), ids)

    def encode_answer(self, title: str, *, step: Step = "inference", side: Side = "chosen") -> TokenIds:
        """Return the tokens that answer the step's prompt with a title, its closing quote included."""
        boundary, text = self._boundary(step), self.prompt.answer(title, side)
        key = "".join(boundary.anchor), text
        if key not in self._answers:
            before, titles, after = boundary.anchor
            whole = self._encode_parts(before, titles, after, text)
            size = len(boundary.start)
            # A title of no catalogue may merge over the boundary all the same; then it is tokenised apart.
            apart = whole[:size] != boundary.start
            self._answers[key] = self._encode_parts("", boundary.lead + text, "") if apart else whole[size:]
        ended = self.prompt.answer_end(side) == "end_of_text"
        return (*self._answers[key], self.tokenizer.eos_token_id) if ended else self._answers[key]

    @cached_property
    def longest_title(self) -> int:
        """The most tokens that a catalogue title takes, up to its closing quote."""
        return max(len(self.encode_answer(title)) for title in self._titles)

    @property
    def opened(self) -> bool:
        """Whether prompts end with the opening quote, so that answers begin with their title."""
        return self._boundary("inference").opened

    def answer_lead(self) -> str:
        """Return the end of the prompt's text that is part of the answers."""
        return self._boundary("inference").lead

    def lost_titles(self) -> list[str]:
        """Return the catalogue's titles that are other ones after tokenising and reading."""
        written = self.read_titles([self.encode_answer(title) for title in self._titles])
        return [title for title, again in zip(self._titles, written, strict=True) if title != again]

    def read_titles(self, answers: Sequence[Sequence[int]]) -> list[str]:
        """Return the title that each written answer states; it ends before its stopping token."""
        ends = self._ends_of_text
        ordinary = [[token for token in answer if token not in ends] for answer in answers]
        texts = self.tokenizer.batch_decode(ordinary, clean_up_tokenization_spaces=False)
        return [read_title(text, opened=self.opened) for text in texts]

    def stop_rule(self, vocabulary: int, device: torch.device) -> StopRule:
        """Return the rule that says where a written title ends, for logits of this many tokens."""
        if (vocabulary, device) in self._rules:
            return self._rules[vocabulary, device]
        pieces = self.tokenizer.batch_decode(
            [[token] for token in range(vocabulary)], clean_up_tokenization_spaces=False
        )
        start = TitleState.INSIDE if self.opened else TitleState.BEFORE
        rule = self._rules[vocabulary, device] = StopRule.of(pieces, self._ends_of_text, start, device)
        return rule

    def stop_tokens(self, vocabulary: int) -> list[int]:
        """Return the tokens that end a title once it has begun."""
        table = self.stop_rule(vocabulary, torch.device("cpu")).table
        return (table[TitleState.INSIDE] == TitleState.ENDED).nonzero()[:, 0].tolist()

    @cached_property
    def _ends_of_text(self) -> frozenset[int]:
        """Tokens after which nothing of a title follows: all special ones but that for unknown text."""
        return frozenset(self._special_ids) - {self.tokenizer.unk_token_id}

    def _boundary(self, step: Step) -> _Boundary:
        """Return the boundary of a step's prompts; steps with one text share it."""
        anchor = self.prompt.parts(self._titles[:1], step)
        key = "".join(anchor)
        if key not in self._boundaries:
            self._boundaries[key] = self._find_boundary(anchor, step)
        return self._boundaries[key]

    def _find_boundary(self, anchor: tuple[str, str, str], step: Step) -> _Boundary:
        before, titles, after = anchor
        prompt = self._encode_parts(before, titles, after)
        # the rejected side differs at the end alone, where nothing meets the prompt
        answers = (self.prompt.answer(title, "chosen") for title in self._titles)
        wholes = (self._encode_parts(before, titles, after, answer) for answer in answers)
        size = min(_equal_start(prompt, whole) for whole in wholes)
        lead = str(self.tokenizer.decode(list(prompt[size:]), clean_up_tokenization_spaces=False))
        if size == 0 or len(lead) > len(after):
            raise ValueError(
                f"prompt.{step}: the tokenizer merges titles with {lead!r} before them; "
                "end the prompt with a line break"
            )
        return _Boundary(anchor, prompt[:size], len(prompt) - size, lead)

    def _starting(self, tokens: TokenIds) -> TokenIds:
        """Return the special tokens that the tokenizer puts before this text, unless it begins with them."""
        start = self._start
        return () if tokens[: len(start)] == start else start

    @cached_property
    def _start(self) -> TokenIds:
        # What a tokenizer adds is asked of itself: SmolLM2 names a beginning-of-text token and adds none.
        plain = self.tokenizer("a", add_special_tokens=False).input_ids
        marked = self.tokenizer("a").input_ids
        size = next(i for i in range(len(marked)) if marked[i : i + len(plain)] == plain)
        return tuple(marked[:size])

    def _encode_parts(self, before: str, titles: str, after: str, answer: str = "") -> TokenIds:
        """Return the tokens of a text in which special tokens in `titles` and `answer` are plain text."""
        if not self._special.search(titles + answer):
            whole = before + titles + after + answer
            return tuple(self.tokenizer(whole, add_special_tokens=False).input_ids)
        # The frame's own special tokens split the text for any tokenizer, so what is between them can be
        # tokenised by itself, with all special tokens read as text.
        head, tail = self._split(before), self._split(after)
        middle = head.pop() + titles + tail.pop(0)
        pieces = [*head, middle, *tail]
        pieces[-1] += answer
        ids: list[int] = []
        for place, piece in enumerate(pieces):
            is_special = place % 2 == 1
            if is_special:
                ids.append(self.tokenizer.convert_tokens_to_ids(piece))
            elif piece:
                ids += self.tokenizer(piece, add_special_tokens=False, split_special_tokens=True).input_ids
        return tuple(ids)

    def _split(self, text: str) -> list[str]:
        """Return plain text and special tokens in turn, plain text first and last."""
        return re.split(f"({self._special.pattern})", text)


def _equal_start(one: TokenIds, other: TokenIds) -> int:
    """Return how many tokens two sequences share at their start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


class TitleState(IntEnum):
    """How far a title is read: before its opening quote, in text without one, inside, at its end."""

    BEFORE = 0
    BARE = 1
    INSIDE = 2
    ENDED = 3


@dataclass(frozen=True)
class StopRule:
    """Where written titles end: `table[state, token]` is the state of reading after a token.

    A title ends at its closing quote or a line break, whatever else the token holds (such as ')"'), and at
    the end of the text. `start` is the state after the prompt.
    """

    table: Int8[Tensor, "states vocabulary"]
    start: TitleState

    @classmethod
    def of(
        cls, pieces: Sequence[str], ends: frozenset[int], start: TitleState, device: torch.device
    ) -> StopRule:
        """Return the rule for a vocabulary of these texts, of which the tokens `ends` end a text."""
        rows = [
            [TitleState.ENDED if i in ends else advance(state, piece) for i, piece in enumerate(pieces)]
            for state in (TitleState.BEFORE, TitleState.BARE, TitleState.INSIDE)
        ]
        return cls(torch.tensor(rows, dtype=torch.int8, device=device), start)


def advance(state: TitleState, text: str) -> TitleState:
    r"""Return how far a title is read after more text.

    >>> advance(TitleState.BEFORE, '\n "He').name, advance(TitleState.INSIDE, ')",').name
    ('INSIDE', 'ENDED')
    """
    if state is TitleState.BEFORE and text.strip():
        text, state = text.lstrip(), TitleState.BARE
    if state is TitleState.BARE and '"' in text.partition("\n")[0]:
        text, state = text.partition('"')[2], TitleState.INSIDE
    if state is TitleState.INSIDE:
        return TitleState.ENDED if '"' in text or "\n" in text else state
    return TitleState.ENDED if state is TitleState.BARE and "\n" in text else state
