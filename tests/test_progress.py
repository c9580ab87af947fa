import logging
import sys

import pytest

from sprec import progress
from sprec.progress import CONSOLE, show_progress, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by ten seconds each time it is read."""
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(ticks)))


def lines(caplog):
    return [record.getMessage() for record in caplog.records]


def test_log_says_how_many_are_done_and_the_time_left(clock, caplog):
    with caplog.at_level(logging.INFO):
        assert list(track("abcd", "steps", 4, interval_seconds=20)) == list("abcd")
    # read at 0 (start), 10 (0 done), 20 (1), 30 (2), 40 (3), 50 (4: has ended)
    assert lines(caplog) == ["steps: 1 of 4, about 60 s left", "steps: 3 of 4, about 13 s left"]


def test_log_counts_on_where_nobody_knows_how_many_there_will_be(clock, caplog):
    with caplog.at_level(logging.INFO):
        assert list(track(iter("abc"), "parts", None, interval_seconds=5)) == list("abc")
    assert lines(caplog) == ["parts: 1 so far", "parts: 2 so far", "parts: 3 so far"]


def test_log_takes_counts_that_leap(clock, caplog):
    with caplog.at_level(logging.INFO), show_progress("MB", 90, interval_seconds=5) as advance_to:
        for done in (0, 30, 90):
            advance_to(done)
    assert lines(caplog) == ["MB: 30 of 90, about 40 s left"]


def test_terminal_shows_a_bar_and_every_item_comes_once(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal shows no bar
    monkeypatch.setattr(CONSOLE, "is_interactive", True)  # rich looks once, as the console is made
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(track("ab", "writing titles", 2)) == ["a", "b"]
    assert "writing titles" in capsys.readouterr().err


def test_what_is_done_at_once_shows_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(track("a", "writing titles", 1)) == ["a"]
    assert capsys.readouterr().err == ""
