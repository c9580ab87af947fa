"""Where this package keeps what it downloads and computes."""

import os
from pathlib import Path


def cache_home() -> Path:
    """Return the folder of all caches: `$SPREC_HOME`, else `sprec` in the user's cache folder."""
    if chosen := os.environ.get("SPREC_HOME"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sprec"


def default_store() -> Path:
    """Return the folder of the stage store if nothing else is chosen."""
    return cache_home() / "stages"
