import logging
import sys

from sprec.llm import progress
from sprec.llm.progress import track


def test_log_says_how_many_are_done_and_the_time_left(monkeypatch, caplog):
    clock = iter([0.0, 0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        assert list(track("abcd", "steps", 4, every_seconds=20)) == list("abcd")
    assert [record.getMessage() for record in caplog.records] == ["steps: 2 of 4, about 20 s left"]


def test_terminal_shows_a_bar_and_every_item_comes_once(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(track("ab", "writing titles", 2)) == ["a", "b"]
    assert "writing titles" in capsys.readouterr().err
