"""Every switch that the README's table of deviations names is one that a command takes."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from sprec.run import CONF

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TABLE = TEXT[TEXT.index("| what | here | why") : TEXT.index("## How to add")]
CODES = [code.replace("'", "") for code in re.findall(r"`([^`]+)`", TABLE) if "..." not in code]
SWITCHES = [code for code in CODES if all("=" in word for word in code.split())]
BELONGING = {
    **dict.fromkeys(("dataset.repair", "dataset.drop_html", "dataset.extend_catalog"), "dataset=released"),
    "dataset.reader.drop_html": "dataset=cds_and_vinyl",
    "objective.averaged": "method=dmpo",
    "ranking.width": "method=d3",
}
"""What has to be chosen for a switch to be there."""


@pytest.mark.parametrize("switch", SWITCHES)
def test_switch_is_taken(switch):
    owner = BELONGING.get(switch.split("=")[0], "seed=0")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose("config", overrides=[owner, *switch.split()])


def test_rows_are_one_line_of_three_cells_and_say_where_there_is_no_switch():
    rows = [line.strip("| ").split(" | ") for line in TABLE.strip().splitlines()[2:]]
    assert [row for row in rows if len(row) != 3] == []
    assert [row[0] for row in rows if "`" not in row[2] and "no switch" not in row[2]] == [
        "weight decay",
        "test rows",
    ][::-1]
