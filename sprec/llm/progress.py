"""Progress of long steps; downloads show it too, so it lives with the data."""

from sprec.progress import track

__all__ = ["track"]
