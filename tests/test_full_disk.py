"""A disk that is full at twenty places: one line, nothing half-written, and the next run goes on."""

import os
import shutil
import subprocess

import pytest

from sprec.store.store import Store
from tests.test_kills import digests, run_child, whole  # noqa: F401

PLACES = 20
pytestmark = pytest.mark.soak


@pytest.fixture
def disk(tmp_path):
    """Return a function that sets the size in bytes of a disk of its own, and the disk's folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a tmpfs")
    resize = ["mount", "-o", "remount,size={}", str(folder)]
    try:
        yield folder, lambda size: subprocess.run([word.format(size) for word in resize], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def used(folder):
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def test_one_line_and_nothing_half_written(tmp_path, disk, whole):  # noqa: F811
    folder, resize = disk
    expected = whole[0]
    assert run_child(folder / "home", folder / "out", tmp_path / "notes", None) == 0
    total = used(folder)
    wrong, failed = [], 0
    for place in range(PLACES):
        for name in ("home", "out", "again"):
            shutil.rmtree(folder / name, ignore_errors=True)
        size = max(total * (place + 1) // (PLACES + 1), 4096)
        resize(size)
        first = run_child(
            folder / "home", folder / "out", tmp_path / "notes", None, log=tmp_path / "first.txt"
        )
        said = [line for line in (tmp_path / "first.txt").read_text().splitlines() if "error" in line.lower()]
        resize("64m")
        left = Store(folder / "home" / "stages").remove_dead_partials()
        second = run_child(folder / "home", folder / "again", tmp_path / "notes", None)
        failed += first != 0
        one_line = first == 0 or (len(said) == 1 and said[0].startswith("error: "))
        if not one_line or left or second or digests(folder / "home") != expected:
            wrong.append((size, first, said, left, second))
        (tmp_path / "first.txt").unlink()
    assert wrong == []
    assert failed >= PLACES * 3 // 4
