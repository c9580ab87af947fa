"""Runs are often on another disk, behind a link: these are seen too, and each is seen once."""

from sprec.records.output_folder import find_unrecorded
from sprec.records.run_record import find_records
from sprec.report.page.render import _times_of_files
from sprec.store.folder_search import files_below
from tests.records.test_run_record import RECORD


def names(folder, *wanted):
    return [file.relative_to(folder).as_posix() for file in files_below(folder, *wanted)]


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
