"""What the readers of published raw files share: a source, and a digest of their settings."""

from dataclasses import dataclass, field, fields
from typing import Literal

from sprec.data.digests import fingerprint
from sprec.data.download.sources import Source


@dataclass(frozen=True)
class RawReader:
    """A reader of a source's files; `duplicates` says what becomes of items of one title.

    "merged" makes them one item, "numbered" gives the second and later ones a number.
    """

    source: Source
    duplicates: Literal["merged", "numbered"] = field(default="merged", kw_only=True)

    def digest(self) -> str:
        """Return the SHA-256 hex of the source's digest and this reader's settings."""
        settings = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        settings["source"] = self.source.digest()
        if "min_rating" in settings:  # 4 and 4.0 are one setting, but not the same JSON
            settings["min_rating"] = float(settings["min_rating"])
        # The classes' names are in the digests of all datasets that are stored: a new name builds them anew.
        return fingerprint(type(self).__name__.lower(), **settings)
