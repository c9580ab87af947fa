"""Commit, dirty flag and versions, from the package's own checkout only."""

import subprocess
from importlib.metadata import version

import pytest

from sprec.records import provenance as module
from sprec.records.provenance import process_provenance, read_provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A checkout with one committed package, in which the commit is looked up."""
    package = tmp_path / "checkout" / "sprec"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    git(package.parent, "add", "sprec")
    git(package.parent, "commit", "-qm", "one")
    monkeypatch.setattr(module, "_PACKAGE_FOLDER", package)
    return package


def test_a_clean_checkout_names_its_commit(package):
    read = read_provenance()
    assert (read["commit"], read["dirty"]) == (git(package, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("name", ["sprec/__init__.py", "conf.yaml"], ids=["changed", "new"])
def test_a_changed_or_new_file_is_dirty(package, name):
    (package.parent / name).write_text("x = 1")
    assert read_provenance()["dirty"]


def test_a_wheel_inside_somebody_elses_checkout_has_no_commit(package, monkeypatch):
    installed = package.parent / ".venv" / "sprec"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(module, "_PACKAGE_FOLDER", installed)
    assert (read_provenance()["commit"], read_provenance()["dirty"]) == (None, False)


def test_without_git_there_is_no_commit(package, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert (read_provenance()["commit"], read_provenance()["dirty"]) == (None, False)


def test_a_git_hook_does_not_lead_elsewhere(package, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert read_provenance()["commit"] is not None


def test_versions_of_installed_packages():
    versions = read_provenance()["versions"]
    assert versions["polars"] == version("polars")
    assert set(versions) <= set(module.PACKAGES)


def test_all_jobs_of_a_process_have_the_commit_that_it_began_with(package):
    module.process_provenance.cache_clear()
    try:
        begun = process_provenance()
        (package / "__init__.py").write_text("x = 1")
        git(package.parent, "commit", "-qam", "two")
        assert process_provenance() == begun
        assert module.describe_maker()["commit"] == begun["commit"] != read_provenance()["commit"]
    finally:
        module.process_provenance.cache_clear()
