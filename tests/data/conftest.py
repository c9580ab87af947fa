"""A small world of interactions that the tests of raw formats write and read back."""

from dataclasses import replace

import polars as pl
import pytest

from sprec.data.readers.toy import Toy

START_SECONDS = 1_451_606_400  # 2016
DAY_SECONDS = 86_400


@pytest.fixture(scope="session")
def world():
    """Forty users of 60 titled items with genres, rated 3 to 5, each time the start of a day."""
    read = Toy(users=40).read()
    days = (pl.col("time") + START_SECONDS) // DAY_SECONDS * DAY_SECONDS
    return replace(read, frame=read.frame.with_columns(days))
