"""Files are whole or absent."""

import contextlib

import pytest

from sprec.store.atomic_files import atomic_path, sync_tree, write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "run.json"
    write_atomically(path, "one")
    write_atomically(path, "zwei: ü\n")
    assert path.read_bytes() == "zwei: ü\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "run.json"
    write_atomically(path, "one")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, "two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_tree_is_synced_files_and_folders_alike(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("x")
    (tmp_path / "broken").symlink_to("nowhere")
    synced = []
    monkeypatch.setattr("sprec.store.atomic_files.sync_path", synced.append)
    sync_tree(tmp_path)
    assert synced == [tmp_path / "sub" / "file", tmp_path / "sub", tmp_path]


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "checkpoint"
    for content, fails in ((b"one", False), (b"two", True)):
        with contextlib.suppress(ValueError), atomic_path(path) as partial:
            partial.write_bytes(content)
            if fails:
                raise ValueError
    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]
