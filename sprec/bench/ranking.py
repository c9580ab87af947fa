"""Evaluation of written titles against a catalogue: ours, and the released algorithm written plainly."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from sprec.bench.measure import Step, Work
from sprec.evaluation.metrics import dgu, div_ratio, genre_masses, genre_share, hit, mgu, ndcg, or_ratio
from sprec.llm.grounding import nearest
from sprec.runtime.seeds import stream

CUTOFFS = (1, 5)
GENRES = 9


@dataclass(frozen=True)
class Case:
    """Unit vectors of written titles and of items, targets and genres, drawn by name.

    Each written title lies near an item, as a title that is almost in the catalogue does.
    """

    users: int
    items: int
    size: int = 384

    @cached_property
    def catalog(self) -> Float[np.ndarray, "items size"]:
        """Item vectors, made in place so that a million of them need no second copy."""
        made = stream(0, "bench", "items").standard_normal((self.items, self.size), dtype=np.float32)
        made /= np.sqrt(np.einsum("ij,ij->i", made, made))[:, None]
        return made

    @cached_property
    def written(self) -> Float[np.ndarray, "users size"]:
        """Vectors of the written titles."""
        rng = stream(0, "bench", "written")
        near = self.catalog[rng.integers(self.items, size=self.users)]
        noisy = near + 0.03 * rng.standard_normal(near.shape, dtype=np.float32)
        unit: Float[np.ndarray, "users size"] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        return unit

    @cached_property
    def target(self) -> Int[np.ndarray, " users"]:
        """The true next item of each user."""
        return stream(0, "bench", "targets").integers(self.items, size=self.users)

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


def ours(case: Case) -> dict[str, float]:
    """Return the metrics by blocked products and vectors over users."""
    ranked = nearest(case.written, case.catalog, k=max(CUTOFFS))
    selected = sorted({genre for genres in case.genres for genre in genres})
    masses = genre_masses(case.genres, selected)
    liked = genre_share(np.array(case.histories), masses)
    found: dict[str, float] = {}
    for k in CUTOFFS:
        top = ranked[:, :k]
        shown = genre_share(top, masses)
        found |= {
            f"hr@{k}": float(hit(top, case.target).mean()),
            f"ndcg@{k}": float(ndcg(top, case.target).mean()),
            f"div_ratio@{k}": div_ratio(top, case.users),
            f"or_ratio@{k}": or_ratio(top, case.users),
            f"mgu@{k}": mgu(shown, liked),
            f"dgu@{k}": dgu(shown, liked),
        }
    return found


def plain(case: Case) -> dict[str, float]:
    """Return the same by all distances, a full sort and loops over users, as the released evaluation does."""
    distances = torch.cdist(torch.from_numpy(case.written), torch.from_numpy(case.catalog))
    order = distances.argsort(dim=1)
    selected = sorted({genre for genres in case.genres for genre in genres})
    liked = _share(case.histories, case.genres, selected)
    found: dict[str, float] = {}
    for k in CUTOFFS:
        lists = [[int(item) for item in order[user][:k]] for user in range(case.users)]
        found |= _accuracy(case, lists, k) | _spread(case, lists, k)
        shown = _share(lists, case.genres, selected)
        gaps = [shown[genre] - liked[genre] for genre in selected]
        found |= {f"mgu@{k}": sum(map(abs, gaps)) / len(gaps), f"dgu@{k}": max(gaps) - min(gaps)}
    return found


def _accuracy(case: Case, lists: list[list[int]], k: int) -> dict[str, float]:
    hits, gain = 0, 0.0
    for user, items in enumerate(lists):
        if case.target[user] in items:
            hits += 1
            gain += 1 / math.log2(items.index(case.target[user]) + 2)
    return {f"hr@{k}": hits / case.users, f"ndcg@{k}": gain / case.users}


def _spread(case: Case, lists: list[list[int]], k: int) -> dict[str, float]:
    counts = Counter(item for items in lists for item in items)
    places = k * case.users
    top = sum(count for _, count in counts.most_common(3))
    return {f"div_ratio@{k}": len(counts) / places, f"or_ratio@{k}": top / places}


def _share(lists: list[list[int]], genres: list[list[str]], selected: list[str]) -> dict[str, float]:
    mass = dict.fromkeys(selected, 0.0)
    for items in lists:
        for item in items:
            for genre in genres[item]:
                mass[genre] += 1 / len(genres[item])
    total = sum(mass.values())
    return {genre: value / total for genre, value in mass.items()}


def evaluation(case: Case, *, released: bool) -> Step:
    """Return the evaluation of all users of a case whose vectors are there."""
    _ = case.written, case.target, case.histories, case.genres

    def take() -> Work:
        (plain if released else ours)(case)
        return Work(case.users, 0)

    return take


def grounding(users: int, items: int) -> Step:
    """Return the search for the five nearest of so many items."""
    case = Case(users, items)
    _ = case.written

    def take() -> Work:
        nearest(case.written, case.catalog, k=5)
        return Work(users, 0)

    return take
