"""Random streams by name: the same name gives the same draw, whatever ran before."""

import hashlib
import json

import numpy as np
from numpy.random import Generator

_TORCH_BITS = 63


def stream(seed: int, *names: str | int) -> Generator:
    """Return the generator of the stream that `seed` and `names` identify, such as `("negatives", 2)`.

    >>> float(stream(0, "negatives", 1).random()) == float(stream(0, "negatives", 1).random())
    True
    """
    return np.random.default_rng(int.from_bytes(_digest(seed, names), "big"))


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a seed from 0 to 2⁶³-1 for `torch.manual_seed`, one per `seed` and `names`."""
    return int.from_bytes(_digest(seed, names), "big") >> (256 - _TORCH_BITS)


def _digest(seed: int, names: tuple[str | int, ...]) -> bytes:
    """Return SHA-256 of seed and names; JSON tells ("a", "b") from ("ab",) and 1 from "1"."""
    return hashlib.sha256(json.dumps([int(seed), *names]).encode()).digest()
