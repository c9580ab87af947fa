"""Evaluation of written titles against a catalogue: ours, and the released algorithm written plainly."""

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
from sprec.generation.grounding import nearest
from sprec.seeds import stream

CUTOFFS = (1, 5)
GENRES = 9


@dataclass(frozen=True)
class Case:
    """Written titles and items with their unit vectors, targets and genres, drawn by name; an `Embedder`.

    Users get `distinct` different titles. Each lies near an item, as a title that is almost in the catalogue
    does; one target in ten is that item.
    """

    users: int
    items: int
    distinct: int
    size: int = 384

    @cached_property
    def catalog(self) -> Float[np.ndarray, "items size"]:
        """Item vectors, made in place so that a million of them need no second copy."""
        made = stream(0, "bench", "items").standard_normal((self.items, self.size), dtype=np.float32)
        made /= np.sqrt(np.einsum("ij,ij->i", made, made))[:, None]
        return made

    @cached_property
    def titles(self) -> list[str]:
        """Titles of the items."""
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
        """Which title each user gets; each title is somebody's where there are enough users."""
        order = stream(0, "bench", "users").permutation(np.arange(self.users) % self.distinct)
        drawn: list[int] = order.tolist()
        return drawn

    @cached_property
    def target(self) -> Int[np.ndarray, " users"]:
        """The true next item of each user."""
        rng = stream(0, "bench", "targets")
        drawn = rng.integers(self.items, size=self.users)
        return np.where(rng.random(self.users) < 0.1, self.near[self.written], drawn)

    @cached_property
    def histories(self) -> list[list[int]]:
        """Ten items of each user."""
        drawn: list[list[int]] = (
            stream(0, "bench", "histories").integers(self.items, size=(self.users, 10)).tolist()
        )
        return drawn

    @cached_property
    def genres(self) -> list[list[str]]:
        """One or two genres of each item."""
        drawn = stream(0, "bench", "genres").integers(GENRES, size=(self.items, 2)).tolist()
        return [sorted({str(genre) for genre in pair}) for pair in drawn]

    @cached_property
    def selected(self) -> list[str]:
        """All genres."""
        return sorted({genre for genres in self.genres for genre in genres})

    def digest(self) -> str:
        """Return the case's name."""
        return repr(self)

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return the vectors of items, or of written titles, by the number in their names."""
        source = self.catalog if titles[0].startswith("item") else self.vectors
        return source[[int(title.split()[1]) for title in titles]]


def ours(case: Case) -> dict[str, float]:
    """Return the metrics as a run computes them."""
    from sprec.generation.rankers import nearest_items

    written = [f"written {number}" for number in case.written]
    ids = nearest_items(written, case, case.titles, k=max(CUTOFFS))
    masses = genre_masses(case.genres, case.selected)
    return score_lists(ids, case.target, case.histories, masses, CUTOFFS).values


def released(case: Case) -> dict[str, float]:
    """Return the same as the released script does, which is run once for each list length.

    It sorts all distances of each user twice to have every item's rank, and looks through all ranks for
    each place of a list, four times.
    """
    written, items = torch.from_numpy(case.vectors[case.written]), torch.from_numpy(case.catalog)
    found: dict[str, float] = {}
    for k in CUTOFFS:
        distances = torch.cdist(written, items)
        ranks = [row.argsort().argsort() for row in distances]
        lists = [[_look(rank, place) for place in range(k)] for rank in ranks]
        found |= _accuracy(case, ranks, k) | _spread(case, lists, k) | _fairness(case, lists, k)
    return found


def _look(rank: torch.Tensor, place: int) -> int:
    """Return the item at a place: asked for its genre, to be in a set, to be counted, and to be added."""
    return [int(torch.argwhere(rank == place)) for _ in range(4)][-1]


def _accuracy(case: Case, ranks: list[torch.Tensor], k: int) -> dict[str, float]:
    hits, gain = 0, 0.0
    for target, rank in zip(case.target.tolist(), ranks, strict=True):
        if (place := int(rank[target])) < k:
            hits += 1
            gain += 1 / math.log2(place + 2)
    return {f"hr@{k}": hits / case.users, f"ndcg@{k}": gain / case.users}


def _spread(case: Case, lists: list[list[int]], k: int) -> dict[str, float]:
    counts = Counter(item for items in lists for item in items)
    places = k * case.users
    top = sum(count for _, count in counts.most_common(3))
    return {f"div_ratio@{k}": len(counts) / places, f"or_ratio@{k}": top / places}


def _fairness(case: Case, lists: list[list[int]], k: int) -> dict[str, float]:
    shown, liked = (_share(each, case.genres, case.selected) for each in (lists, case.histories))
    gaps = [shown[genre] - liked[genre] for genre in case.selected]
    return {f"mgu@{k}": sum(map(abs, gaps)) / len(gaps), f"dgu@{k}": max(gaps) - min(gaps)}


def _share(lists: list[list[int]], genres: list[list[str]], selected: list[str]) -> dict[str, float]:
    mass = dict.fromkeys(selected, 0.0)
    for items in lists:
        for item in items:
            for genre in genres[item]:
                mass[genre] += 1 / len(genres[item])
    total = sum(mass.values())
    return {genre: value / total for genre, value in mass.items()}


def evaluation(case: Case, *, plain: bool, times: int = 1) -> Step:
    """Return the evaluation of all users of a case whose vectors are there, so many times over."""
    _ = case.vectors, case.target, case.histories, case.selected

    def take() -> Work:
        for _ in range(times):
            (released if plain else ours)(case)
        return Work(times * case.users, 0)

    return take


def grounding(users: int, items: int) -> Step:
    """Return the search for the five nearest of so many items."""
    case = Case(users, items, users)
    _ = case.vectors

    def take() -> Work:
        nearest(case.vectors, case.catalog, k=5)
        return Work(users, 0)

    return take
