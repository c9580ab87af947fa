"""A generated dataset with known structure: instant, no files, something to learn."""

from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import polars as pl
from numpy.random import Generator

from sprec.data.catalog import Catalog
from sprec.data.dataset import Dataset, FromInteractions
from sprec.data.digests import fingerprint
from sprec.data.examples import Wording
from sprec.data.interactions import INTERACTION_SCHEMA, Interactions

GENRES = ("Action", "Comedy", "Drama", "Romance")
COLOURS = ("Amber", "Blue", "Coral", "Golden", "Green", "Ivory", "Red", "Silver", "Violet", "White")
ANIMALS = ("Bear", "Crow", "Deer", "Fox", "Hare", "Lynx", "Otter", "Owl", "Seal", "Swan", "Tiger", "Wolf")
MOST_ITEMS = len(COLOURS) * len(ANIMALS)
WORDING = Wording(
    instruction="Given a list of movies the user has watched before, "
    "please recommend a new movie that the user likes to the user.",
    lead="The user has watched the following movies before: ",
)
HOUR_SECONDS = 3600


@dataclass(frozen=True)
class Toy:
    """Users of one favourite genre each, who mostly go round it in a fixed order.

    Item `i` has genre `i % 4`, and every fifth item also the next one. After an item of the
    favourite genre, the next item of that genre follows with probability `order` (the rule to
    learn). Otherwise the user jumps: within the favourite genre with probability `loyalty`, else
    anywhere, to an item drawn in proportion to 1 / its popularity rank. `shortest` and `longest`
    bound the interactions per user. The same values always give the same data.
    """

    seed: int = 0
    users: int = 120
    items: int = 60
    shortest: int = 20
    longest: int = 40
    order: float = 0.7
    loyalty: float = 0.8

    def __post_init__(self) -> None:
        if not 2 * len(GENRES) <= self.items <= MOST_ITEMS:
            raise ValueError(f"toy items = {self.items}; choose {2 * len(GENRES)} to {MOST_ITEMS}")
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"toy needs 1 <= shortest <= longest, got {self.shortest} and {self.longest}")

    def digest(self) -> str:
        """Return the SHA-256 hex of the settings."""
        return fingerprint("toy", **asdict(self))

    def read(self) -> Interactions:
        """Return the interactions, user by user, rated 3 to 5."""
        rng = np.random.default_rng(self.seed)
        catalog = self._catalog(rng)
        weights = 1 / (1 + rng.permutation(self.items))
        frames = [self._user(user, weights, rng) for user in range(self.users)]
        return Interactions(pl.concat(frames), catalog)

    def _catalog(self, rng: Generator) -> Catalog:
        names = [" ".join(pair) for pair in product(COLOURS, ANIMALS)]
        chosen = rng.permutation(len(names))[: self.items]
        years = rng.integers(1970, 2010, self.items)
        titles = tuple(f"{names[name]} ({year})" for name, year in zip(chosen, years, strict=True))
        return Catalog(titles, tuple(_genres(item) for item in range(self.items)))

    def _user(self, user: int, weights: np.ndarray, rng: Generator) -> pl.DataFrame:
        length = int(rng.integers(self.shortest, self.longest + 1))
        items = self._walk(length, int(rng.integers(len(GENRES))), weights, rng)
        start = rng.integers(0, 90 * 24 * HOUR_SECONDS)
        # At least an hour apart, so that no order of a user is a matter of ties.
        times = start + rng.integers(HOUR_SECONDS, 72 * HOUR_SECONDS, length).cumsum()
        columns = {
            "user": [user] * length,
            "item": items,
            "time": times,
            "rating": rng.integers(3, 6, length),
        }
        return pl.DataFrame(columns).cast(INTERACTION_SCHEMA)  # type: ignore[arg-type]

    def _walk(self, length: int, favourite: int, weights: np.ndarray, rng: Generator) -> list[int]:
        own = np.where(np.arange(self.items) % len(GENRES) == favourite, weights, 0.0)
        walk = [_jump(own, rng)]
        while len(walk) < length:
            if walk[-1] % len(GENRES) == favourite and rng.random() < self.order:
                walk.append(self.follower(walk[-1]))
            else:
                walk.append(_jump(own if rng.random() < self.loyalty else weights, rng))
        return walk

    def follower(self, item: int) -> int:
        """Return the item that the rule puts after this one: the next of its genre, in a ring."""
        after = item + len(GENRES)
        return after if after < self.items else item % len(GENRES)


def toy_dataset(seed: int = 0) -> Dataset:
    """Return the default toy dataset with windows of 10 items, for tests and first runs."""
    return FromInteractions("toy", Toy(seed), GENRES, WORDING).build()


def _genres(item: int) -> tuple[str, ...]:
    first = GENRES[item % len(GENRES)]
    return (first, GENRES[(item + 1) % len(GENRES)]) if item % 5 == 0 else (first,)


def _jump(weights: np.ndarray, rng: Generator) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))
