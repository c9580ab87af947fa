"""README and docs: every switch they name is one that a command takes, every file they link exists."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from sprec.run import CONF

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
DIFFERENCES = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
CODES = [code.replace("'", "") for code in re.findall(r"`([^`]+)`", DIFFERENCES) if "..." not in code]
SWITCHES = [code for code in CODES if all("=" in word for word in code.split())]
NEEDED_CHOICE = {
    **dict.fromkeys(("dataset.repair", "dataset.drop_html", "dataset.extend_catalog"), "dataset=released"),
    "dataset.reader.drop_html": "dataset=cds_and_vinyl",
    "objective.scaled_by_count": "method=dmpo",
    "ranking.width": "method=d3",
}
"""The option that a switch belongs to."""


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize("switch", SWITCHES)
def test_switch_of_a_difference_composes(switch):
    assert composed(NEEDED_CHOICE.get(switch.split("=")[0], "seed=0"), *switch.split())


TABLE = DIFFERENCES[DIFFERENCES.index("| point | what | here | why") :].strip().splitlines()[2:]
ROWS = [line.removeprefix("| ").removesuffix(" |").removeprefix("|").split(" | ") for line in TABLE]


def test_differences_are_one_line_of_four_cells_and_say_where_there_is_no_switch():
    assert [row for row in ROWS if len(row) != 4] == []
    without = [row[1].strip() for row in ROWS if "`" not in row[3] and "no switch" not in row[3]]
    assert without == ["test rows", "weight decay"]


def test_every_point_of_the_released_code_has_a_row():
    listed = set(re.findall(r"^(\d+)\. ", DIFFERENCES, re.M))
    assert listed == {str(number) for number in range(1, 17)}
    assert {row[0].strip() for row in ROWS} - {""} == listed


NOT_COMPOSED = ("+search", "+sweep", "+plan", "+describe", "hydra")
"""Overrides of Hydra itself, or that only `python -m sprec.run` adds."""


def commands(page):
    """Yield the overrides of every `python -m sprec.run` on a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    inline = re.findall(r"`(python -m sprec\.run[^`]*)`", text)
    for command in inline + re.findall(r"^    (python -m sprec\.run.*)$", text, re.M):
        words = re.sub(r"\s+#.*$", "", command.replace("\n", " ")).replace("'", "").split()[3:]
        yield [
            word for word in words if "=" in word and "…" not in word and not word.startswith(NOT_COMPOSED)
        ]


COMMANDS = sorted({" ".join(overrides) for page in PAGES for overrides in commands(page)})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_composes(command):
    """A sweep composes the values of a list one at a time: here the first of each."""
    assert composed(*(re.sub(r"=([^\[{,]+),.*$", r"=\1", word) for word in command.split()))


GROUPS = [
    "method",
    "negatives",
    "objective",
    "dataset",
    "base_llm",
    "decoding",
    "ranking",
    "embeddings",
    "budget",
]


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_of_a_group_is_named_in_the_docs(group):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert [option for option in options if f"`{option}`" not in text and f"={option}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    files = re.findall(r"\b((?:sprec|conf|tests|benchmarks|multirun_scripts)/[\w/.]*\w(?:\.\w+|/))", text)
    assert [name for name in files if "NAME" not in name and not (ROOT / name).exists()] == []
