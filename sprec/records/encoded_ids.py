"""Recommendation lists as compact text in `run.json`: a few kilobytes for a thousand users."""

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 128 << 20
"""Lists of 1.6 million users, each of 20 items; a few kilobytes of text could unpack to gigabytes."""


def encode_ids(lists: NDArray[np.integer]) -> str:
    """Return ids `[rows, width]` as base64 of zlib of little-endian int32, row by row; -1 means no item.

    Raises `ValueError` if an id does not fit into 32 bits.
    """
    if lists.size and not -(2**31) <= int(lists.min()) <= int(lists.max()) < 2**31:
        raise ValueError(f"ids from {lists.min()} to {lists.max()} do not fit into 32 bits")
    return base64.b64encode(zlib.compress(np.ascontiguousarray(lists, dtype="<i4").tobytes(), 6)).decode()


def decode_ids(text: str, width: int) -> NDArray[np.int32]:
    """Return the ids `[rows, width]` from the text of `encode_ids`; "" has no rows.

    Raises `ValueError` for any other text, and for lists of another width.

    >>> decode_ids(encode_ids(np.array([[7, 3], [2, -1]])), 2).tolist()
    [[7, 3], [2, -1]]
    """
    try:
        decoder = zlib.decompressobj()
        # Without `validate`, base64 skips characters that it does not know, and damage would pass.
        raw = decoder.decompress(base64.b64decode(text, validate=True), MOST_BYTES) if text else b""
        if text and not decoder.eof:
            raise ValueError(f"they are cut short, or have over {MOST_BYTES >> 20} MB")
        return np.frombuffer(raw, dtype="<i4").astype(np.int32, copy=False).reshape(-1, width)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"these are no encoded lists of {width} items ({error}); run again") from error
