"""Elementwise pieces of a pass, as they stand or compiled: one loop over memory in place of several."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch

Piece = Callable[..., Any]
Fuse = Callable[[Piece], Piece]


def eager(piece: Piece) -> Piece:
    """Return the piece as it stands."""
    return piece


@cache
def compiled(piece: Piece) -> Piece:
    """Return the piece through `torch.compile`: same values in float32 to the last bits, lengths left open.

    In bfloat16 a piece is then rounded once, at its end, where eager code rounds after each operation.
    """
    found: Piece = torch.compile(piece, dynamic=True)
    return found


def lacking(device: str) -> str:
    """Return what `torch.compile` lacks on a device, "" where nothing."""
    if device.startswith("cuda"):
        return "" if find_spec("triton") else "the package triton"
    compiler = os.environ.get("CXX", "g++")
    return "" if shutil.which(compiler) else f"a C++ compiler ({compiler})"
