"""Where this package keeps what it downloads and computes, and where its own options are."""

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


def conf_folder() -> Path:
    """Return the folder of the options that this installation offers."""
    package = Path(__file__).resolve().parent
    # A wheel has the folder inside the package, a checkout beside it.
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())
