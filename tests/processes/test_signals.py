"""An end that was asked for comes, whatever swallows the first error."""

import signal
import threading
from contextlib import suppress

import pytest

from sprec.processes import signals
from sprec.processes.signals import EndedBySignalError, raise_on_signal

LONG = 30.0


@pytest.fixture
def ends(monkeypatch):
    """Return the statuses with which the process would have been ended."""
    statuses = []
    monkeypatch.setattr(signals, "exit_now", statuses.append)
    monkeypatch.setattr(signals, "CHECK_SECONDS", 0.01)
    return statuses


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_error_that_something_swallows_is_raised_again(ends, number):
    @raise_on_signal()
    def swallow():
        with suppress(BaseException):
            signal.raise_signal(number)
        threading.Event().wait(LONG)

    with pytest.raises(EndedBySignalError) as raised:
        swallow()
    assert raised.value.number == number
    assert ends == []


def test_cleaning_up_is_not_disturbed(ends):
    cleaned = []

    @raise_on_signal()
    def clean_up():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            threading.Event().wait(0.1)  # ten looks of the watchdog
            cleaned.append(True)

    with pytest.raises(EndedBySignalError):
        clean_up()
    assert cleaned == [True]
    assert ends == []


def test_cleaning_up_that_hangs_ends_the_process(ends, monkeypatch):
    monkeypatch.setattr(signals, "GRACE_SECONDS", 0.05)
    ended = threading.Event()
    monkeypatch.setattr(signals, "exit_now", lambda status: (ends.append(status), ended.set()))

    @raise_on_signal()
    def hang():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            assert ended.wait(LONG)

    with pytest.raises(EndedBySignalError):
        hang()
    assert ends == [143]
