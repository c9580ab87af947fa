"""Runs are often on another disk, behind a link: these are seen too, and each is seen once."""

import os

import pytest

from sprec.records.output_folder import find_unrecorded
from sprec.records.record_search import find_records
from sprec.report.page.render import _times_of_files
from sprec.store.folder_search import files_below
from sprec.store.inventory import used_keys
from tests.records.test_run_record import RECORD


def names(folder, *wanted):
    return [
        file.relative_to(folder).as_posix() for file in files_below(folder, *wanted, unreadable=pytest.fail)
    ]


def test_links_are_followed_and_files_are_called_by_their_own_paths(tmp_path):
    home, disk = tmp_path / "home", tmp_path / "disk"
    for file in (disk / "1" / "run.json", home / "b" / "run.json", home / "b" / "claim.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    (home / "a").symlink_to(home / "b")
    (home / "c").symlink_to(disk)
    (home / "gone").symlink_to(tmp_path / "gone")
    assert names(home, "run.json") == ["b/run.json", "c/1/run.json"]
    assert names(home, "run.json", "claim.json") == ["b/run.json", "b/claim.json", "c/1/run.json"]
    assert names(home / "c", "run.json") == ["1/run.json"]


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "run.json").write_text("{}")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    assert names(tmp_path, "run.json") == ["a/b/run.json"]
    assert names(tmp_path / "a" / "b" / "up", "run.json") == ["b/run.json"]


def test_runs_behind_a_link_are_found_noted_and_watched(tmp_path):
    home, disk = tmp_path / "home", tmp_path / "disk"
    RECORD.save(disk / "done" / "run.json")
    (disk / "dead").mkdir()
    (disk / "dead" / "claim.json").write_text('{"command": "python -m sprec.run"}')
    home.mkdir()
    (home / "runs").symlink_to(disk)
    records, errors = find_records([home, disk, home / "runs"])
    assert ([record for _, record in records], errors) == ([RECORD], [])
    assert [folder.name for folder, _ in find_unrecorded([home, disk])] == ["dead"]
    assert {file.name for file in _times_of_files([home])} == {"run.json", "claim.json"}


@pytest.fixture
def closed_folder(tmp_path, monkeypatch):
    """Return a folder that may not be listed, whoever asks: permissions do not bind root."""
    closed, scan = tmp_path / "runs" / "closed", os.scandir
    closed.mkdir(parents=True)

    def scandir(path="."):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return closed


def test_a_folder_that_cannot_be_listed_is_named_and_hides_no_other_run(closed_folder):
    home = closed_folder.parent
    RECORD.save(home / "open" / "run.json")
    records, errors = find_records([home])
    assert [file.parent.name for file, _ in records] == ["open"]
    assert list(map(str, errors)) == [
        f"{closed_folder} cannot be listed (Permission denied); its runs are not seen"
    ]
    assert find_unrecorded([home]) == []
    assert {file.parent.name for file in _times_of_files([home])} == {"open"}


def test_keys_in_use_are_unknown_where_a_folder_cannot_be_listed(closed_folder):
    RECORD.save(closed_folder.parent / "open" / "run.json")
    with pytest.raises(ValueError, match=r"closed cannot be listed \(Permission denied\); nothing is pruned"):
        used_keys([closed_folder.parent])
