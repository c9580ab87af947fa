"""Progress of long steps: one line now and then, with the time left."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
log = logging.getLogger(__name__)


def track(items: Iterable[Item], label: str, total: int, *, every_seconds: float = 15.0) -> Iterator[Item]:
    """Yield the items; about every `every_seconds` log how many of `total` are done and the time left."""
    start = last = time.monotonic()
    for done, item in enumerate(items):
        current = time.monotonic()
        if current - last >= every_seconds and done:
            left = (current - start) / done * (total - done)
            log.info("%s: %d of %d, about %.0f s left", label, done, total, left)
            last = current
        yield item
