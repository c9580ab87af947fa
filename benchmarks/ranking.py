"""Evaluation of written titles against a catalogue: ours, and the released algorithm in plain loops."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from benchmarks.measure import Step, Work
from sprec.evaluation.metrics import genre_masses
from sprec.evaluation.scores import score_lists
from sprec.generation.grounding import find_nearest
from sprec.seeds import stream

CUTOFFS = (1, 5)
GENRES = 9


@dataclass(frozen=True)
class RankingCase:
    """Written titles and items with unit vectors, targets and genres, all from named streams; an `Embedder`.

    Users share `distinct` different titles. Each title lies near an item, like a title that is almost in the
    catalogue; one target in ten is that item.
    """

    users: int
    items: int
    distinct: int
    size: int = 384

    @cached_property
    def catalog(self) -> Float[np.ndarray, "items size"]:
        """Item vectors, normalised in place so that a million of them need no second copy."""
        vectors = stream(0, "bench", "items").standard_normal((self.items, self.size), dtype=np.float32)
        vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
        return vectors

    @cached_property
    def titles(self) -> list[str]:
        """Titles of the items; `embed` reads the number in each."""
        return [f"item {number}" for number in range(self.items)]

    @cached_property
    def near(self) -> Int[np.ndarray, " distinct"]:
        """The item that each written title almost is."""
        return stream(0, "bench", "near").integers(self.items, size=self.distinct)

    @cached_property
    def vectors(self) -> Float[np.ndarray, "distinct size"]:
        """Vectors of the different written titles."""
        near = self.catalog[self.near]
        noisy = near + 0.03 * stream(0, "bench", "written").standard_normal(near.shape, dtype=np.float32)
        unit: Float[np.ndarray, "distinct size"] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        return unit

    @cached_property
    def written(self) -> list[int]:
        """Number of the title written for each user; all titles occur where there are enough users."""
        order = stream(0, "bench", "users").permutation(np.arange(self.users) % self.distinct)
        numbers: list[int] = order.tolist()
        return numbers

    @cached_property
    def target(self) -> Int[np.ndarray, " users"]:
        """The true next item of each user."""
        rng = stream(0, "bench", "targets")
        random_items = rng.integers(self.items, size=self.users)
        return np.where(rng.random(self.users) < 0.1, self.near[self.written], random_items)

    @cached_property
    def histories(self) -> list[list[int]]:
        """Ten items of each user."""
        ids: list[list[int]] = (
            stream(0, "bench", "histories").integers(self.items, size=(self.users, 10)).tolist()
        )
        return ids

    @cached_property
    def genres(self) -> list[list[str]]:
        """One or two genres of each item."""
        pairs = stream(0, "bench", "genres").integers(GENRES, size=(self.items, 2)).tolist()
        return [sorted({str(genre) for genre in pair}) for pair in pairs]

    @cached_property
    def selected(self) -> list[str]:
        """All genres."""
        return sorted({genre for genres in self.genres for genre in genres})

    def digest(self) -> str:
        """Return text that names the case, by which vectors are cached."""
        return repr(self)

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return the vectors of items or of written titles, by the number in their text."""
        source = self.catalog if titles[0].startswith("item") else self.vectors
        return source[[int(title.split()[1]) for title in titles]]


def score_case(case: RankingCase) -> dict[str, float]:
    """Return the metrics as a run computes them."""
    from sprec.generation.grounding import ground_titles

    written = [f"written {number}" for number in case.written]
    ids = ground_titles(written, case, case.titles, k=max(CUTOFFS))
    masses = genre_masses(case.genres, case.selected)
    return score_lists(ids, case.target, case.histories, masses, CUTOFFS).values


def score_case_as_released(case: RankingCase) -> dict[str, float]:
    """Return the same metrics as the released script computes them, once for each list length.

    It sorts all distances of each user twice to get every item's rank, and searches all ranks four times for
    each place of a list.
    """
    written, items = torch.from_numpy(case.vectors[case.written]), torch.from_numpy(case.catalog)
    scores: dict[str, float] = {}
    for k in CUTOFFS:
        distances = torch.cdist(written, items)
        ranks = [row.argsort().argsort() for row in distances]
        lists = [[_item_at(rank, place) for place in range(k)] for rank in ranks]
        scores |= _accuracy(case, ranks, k) | _diversity(case, lists, k) | _fairness(case, lists, k)
    return scores


def _item_at(rank: torch.Tensor, place: int) -> int:
    """Return the item at a place, searched once each for its genre, the set, the count and the list."""
    return [int(torch.argwhere(rank == place)) for _ in range(4)][-1]


def _accuracy(case: RankingCase, ranks: list[torch.Tensor], k: int) -> dict[str, float]:
    hits, gain = 0, 0.0
    for target, rank in zip(case.target.tolist(), ranks, strict=True):
        if (place := int(rank[target])) < k:
            hits += 1
            gain += 1 / math.log2(place + 2)
    return {f"hr@{k}": hits / case.users, f"ndcg@{k}": gain / case.users}


def _diversity(case: RankingCase, lists: list[list[int]], k: int) -> dict[str, float]:
    counts = Counter(item for items in lists for item in items)
    places = k * case.users
    top = sum(count for _, count in counts.most_common(3))
    return {f"div_ratio@{k}": len(counts) / places, f"or_ratio@{k}": top / places}


def _fairness(case: RankingCase, lists: list[list[int]], k: int) -> dict[str, float]:
    recommended, liked = (_genre_shares(ids, case.genres, case.selected) for ids in (lists, case.histories))
    gaps = [recommended[genre] - liked[genre] for genre in case.selected]
    return {f"mgu@{k}": sum(map(abs, gaps)) / len(gaps), f"dgu@{k}": max(gaps) - min(gaps)}


def _genre_shares(lists: list[list[int]], genres: list[list[str]], selected: list[str]) -> dict[str, float]:
    mass = dict.fromkeys(selected, 0.0)
    for items in lists:
        for item in items:
            for genre in genres[item]:
                mass[genre] += 1 / len(genres[item])
    total = sum(mass.values())
    return {genre: value / total for genre, value in mass.items()}


def evaluate_case(case: RankingCase, *, as_released: bool, times: int = 1) -> Step:
    """Return a step that evaluates all users of a case `times` times; the case is made beforehand."""
    _ = case.vectors, case.target, case.histories, case.selected

    def run_step() -> Work:
        for _ in range(times):
            (score_case_as_released if as_released else score_case)(case)
        return Work(times * case.users, 0)

    return run_step


def ground_titles(users: int, items: int) -> Step:
    """Return a step that searches the five nearest items for each user."""
    case = RankingCase(users, items, users)
    _ = case.vectors

    def run_step() -> Work:
        find_nearest(case.vectors, case.catalog, k=5)
        return Work(users, 0)

    return run_step
