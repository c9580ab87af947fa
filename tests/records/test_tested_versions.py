import logging

import pytest

from sprec.records import tested_versions
from sprec.records.tested_versions import untested_versions, warn_of_untested_versions

RANGES = ["torch>=2.6,<2.14", "transformers>=4.56,<5.25", "wandb>=0.31", "trl>=0.24; extra == 'bench'"]


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these versions are installed."""
    versions = {"torch": "2.13.0+cpu", "transformers": "5.24.0"}
    monkeypatch.setattr(tested_versions, "version", versions.__getitem__)
    monkeypatch.setattr(tested_versions, "requires", lambda name: RANGES)
    return versions


@pytest.mark.parametrize(
    ("package", "version", "unmet"),
    [
        ("torch", "2.13.0+cpu", []),
        ("torch", "2.14.0", ["torch"]),
        ("transformers", "5.25.0", ["transformers"]),
        ("transformers", "5.25.0rc1", ["transformers"]),
        ("transformers", "4.55.4", ["transformers"]),
    ],
)
def test_version_outside_the_range_is_untested(package, version, unmet, installed):
    installed[package] = version
    assert [requirement.name for requirement in untested_versions(RANGES)] == unmet


def test_tested_versions_cause_no_word(installed, caplog):
    warn_of_untested_versions()
    assert caplog.records == []


def test_untested_versions_are_one_warning_with_the_command_that_mends_it(installed, caplog):
    installed |= {"torch": "2.15.0", "transformers": "5.30.1"}
    with caplog.at_level(logging.WARNING):
        warn_of_untested_versions()
    (record,) = caplog.records
    assert record.getMessage() == (
        "untested with this version of sprec: torch 2.15.0, transformers 5.30.1; to install tested ones: "
        "pip install 'torch<2.14,>=2.6' 'transformers<5.25,>=4.56'"
    )
