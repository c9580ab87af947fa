"""Score anybody's predictions on released rows: `python -m sprec.score FILE --data DIR --k 1 5`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from sprec.command_line import CommandParser, run_command
from sprec.evaluation.evaluation_set import EvaluationSet, read_as_released, read_robustly
from sprec.evaluation.predictions_file import read_answers
from sprec.evaluation.registry import METRICS
from sprec.evaluation.scores import Scores, score_lists
from sprec.report.tables.formats import print_table
from sprec.report.tables.table import Cell, Table

if TYPE_CHECKING:
    from sprec.generation.grounding import Embedder

MATCHINGS: dict[str, Callable[[Path], EvaluationSet]] = {
    "robust": read_robustly,
    "released": read_as_released,
}
"""How a folder is read, by the names of `--matching`."""


@runtime_checkable
class Grounder(Protocol):
    """Maps generated titles to catalogue items."""

    def __call__(self, titles: Sequence[str | None], k: int) -> Int[np.ndarray, "titles k"]:
        """Return the ids of the k items nearest to each title, nearest first; -1 is a place without one."""


@dataclass(frozen=True)
class ExactMatch:
    """Grounds a title to the one item that has it, in the first place, and else to nothing."""

    evaluation_set: EvaluationSet

    def __call__(self, titles: Sequence[str | None], k: int) -> Int[np.ndarray, "titles k"]:
        """Return the item of each title and k − 1 empty places."""
        ranked = np.full((len(titles), k), -1)
        ranked[:, 0] = [-1 if title is None else self.evaluation_set.find(title) for title in titles]
        return ranked


@dataclass(frozen=True)
class NearestTitles:
    """Grounds a title to the items whose titles are nearest to it, as a run does (`ranking=grounded`)."""

    evaluation_set: EvaluationSet
    embedder: "Embedder"

    def __call__(self, titles: Sequence[str | None], k: int) -> Int[np.ndarray, "titles k"]:
        """Return the k nearest items of each title; None, a text without a title, has none."""
        from sprec.generation.grounding import ground_titles

        # An empty text has nearest titles too, so places of None are emptied at the end.
        spellings = [self.evaluation_set.spelling_of(title or "") for title in titles]
        ranked = np.full((len(titles), k), -1)
        neighbours = ground_titles(spellings, self.embedder, self.evaluation_set.titles, k=k)
        ranked[:, : neighbours.shape[1]] = neighbours
        ranked[[title is None for title in titles]] = -1
        return ranked


# Imported when asked for: torch takes seconds, and exact matching does without.
def _ngrams(evaluation_set: EvaluationSet) -> NearestTitles:
    from sprec.generation.grounding import CharacterNgrams

    return NearestTitles(evaluation_set, CharacterNgrams())


def _minilm(evaluation_set: EvaluationSet) -> NearestTitles:
    from sprec.generation.grounding import minilm

    return NearestTitles(evaluation_set, minilm())


GROUNDINGS: dict[str, Callable[[EvaluationSet], Grounder]] = {
    "exact": ExactMatch,
    "ngrams": _ngrams,
    "minilm": _minilm,
}
"""How texts are grounded, by the names of `--grounding`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the scores of a file of predictions; return 0, or 2 after one line on what is wrong."""
    return run_command(_parser(), arguments, _score)


def _score(options: argparse.Namespace) -> None:
    cutoffs = _check_cutoffs(options.k)
    evaluation_set = MATCHINGS[options.matching](options.data)
    rows = evaluation_set.rows
    answers = read_answers(options.file, rows=len(rows), test_rows=rows)
    _check_grounding(answers, options)
    ranked = rank(answers, evaluation_set, GROUNDINGS[options.grounding](evaluation_set), k=cutoffs[-1])
    scores = score_lists(
        ranked, evaluation_set.target, evaluation_set.histories, evaluation_set.masses, cutoffs
    )
    _print(scores, _remarks(answers, ranked, evaluation_set, scores), options)


def rank(
    answers: Sequence[str] | Sequence[Sequence[str]],
    evaluation_set: EvaluationSet,
    ground: Grounder,
    *,
    k: int,
) -> Int[np.ndarray, "rows k"]:
    """Return k item ids per row: of the titles in ranked lists, or grounded from generated texts.

    Each entry of a list is read like a generated text and matched exactly; one that is not in the catalogue
    leaves its place empty (-1). Raises `ValueError` naming the row whose list is shorter than k.
    """
    texts = [evaluation_set.title_of(answer) for answer in answers if isinstance(answer, str)]
    if texts:
        return ground(texts, k)
    for row, entries in enumerate(answers, start=1):
        if len(entries) < k:
            raise ValueError(
                f"row {row} of the predictions lists {len(entries)} titles, fewer than --k {k}; lower --k"
            )
    exact = ExactMatch(evaluation_set)
    return np.stack([exact([evaluation_set.title_of(text) for text in row[:k]], 1)[:, 0] for row in answers])


def _check_cutoffs(asked: Sequence[int]) -> list[int]:
    if min(asked) < 1:
        raise ValueError(f"--k {min(asked)} is no length of a list; take 1 or more")
    return sorted(set(asked))


def _check_grounding(answers: Sequence[str] | Sequence[Sequence[str]], options: argparse.Namespace) -> None:
    if options.grounding != "exact" and not isinstance(answers[0], str):
        raise ValueError(
            f"--grounding {options.grounding} is for generated texts, and {options.file} holds ranked lists, "
            "whose titles are matched exactly; leave --grounding out"
        )


def _remarks(
    answers: Sequence[str] | Sequence[Sequence[str]],
    ranked: Int[np.ndarray, "rows k"],
    evaluation_set: EvaluationSet,
    scores: Scores,
) -> list[str]:
    """Return what a reader must know beside the scores: what is no item, and what has no genre."""
    texts = [answer for answer in answers if isinstance(answer, str)]
    # Exact grounding gives a text one item, so only first places can be wrong.
    predicted, items = ranked[:, :1] if texts else ranked, ranked[ranked >= 0]
    without_genre = evaluation_set.masses[items].sum(axis=1) == 0
    # The first two readings of a text are one whole title; a later one is the first of several.
    several = [
        evaluation_set.title_of(text) not in (None, *evaluation_set.titles_in(text)[:2]) for text in texts
    ]
    counts = {
        f"of {predicted.size} predicted titles are not in the catalogue": int((predicted < 0).sum()),
        f"of {len(texts)} texts hold several titles; the first is scored": sum(several) if texts else 0,
        f"of {items.size} recommended items have no selected genre and no part in MGU and DGU": int(
            without_genre.sum()
        ),
        f"of {len(ranked)} lists hold an item more than once; it hits at its first place alone": sum(
            len(np.unique(ids := row[row >= 0])) < len(ids) for row in ranked
        ),
        f"of {ranked.size} places are empty (--grounding exact gives a text one item)": int(
            (ranked[:, 1:] < 0).sum() if texts else 0
        ),
        f"of {scores.n} targets are not in the catalogue; their rows count in HR, NDCG and MRR alone": (
            scores.n - scores.n_in_catalog
        ),
    }
    remarks = [f"{count} {what}" for what, count in counts.items() if count]
    return [*remarks, undefined] if (undefined := scores.explain_undefined()) else remarks


def _print(scores: Scores, remarks: Sequence[str], options: argparse.Namespace) -> None:
    """Print one JSON object, with the remarks on standard error, or a table with the remarks below."""
    if options.json:
        values = {"n": scores.n, "n_in_catalog": scores.n_in_catalog, **scores.values}
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stderr.writelines(f"sprec.score: {remark}\n" for remark in remarks)
        return
    from rich.console import Console

    cutoffs = sorted({int(key.split("@")[1]) for key in scores.values})
    rows: list[tuple[Cell, ...]] = [
        (metric.label, *(scores.values.get(metric.key(k)) for k in cutoffs))
        for metric in METRICS.values()
        if metric.in_tables and metric.has_cutoff
    ]
    counts = f"N {scores.n}, {scores.n_in_catalog} of them with a target in the catalogue"
    source = f"{options.matching} matching on {options.data}"
    notes = (*remarks, f"{counts}; {source}")
    table = Table(str(options.file), ("metric", *(f"@{k}" for k in cutoffs)), tuple(rows), notes)
    print_table(table, Console())


def _parser() -> CommandParser:
    parser = CommandParser("sprec.score", __doc__)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON list, .gz or not, one entry per test row"
    )
    data = "folder with test.json and title_genres.json (released: eval/)"
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=data)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5], help="list lengths (1 5)")
    parser.add_argument(
        "--matching", choices=MATCHINGS, default="robust", help="whole titles, or as SPRec's code"
    )
    parser.add_argument(
        "--grounding",
        choices=GROUNDINGS,
        default="exact",
        help="items of a text: its title, or titles nearest by n-grams or MiniLM",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
