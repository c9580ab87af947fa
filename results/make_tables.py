"""`make tables`: make every table and figure of README and docs that comes from this folder's records.

A table stands in its page between `<!-- table: NAME -->` and `<!-- end -->`. `--check` changes nothing and
fails where a page or a figure differs from what the records give.
"""

import argparse
import contextlib
import io
import re
import tempfile
from pathlib import Path

from sprec.report.__main__ import main as main_of_report

ROOT = Path(__file__).parents[1]
COLUMNS = ("HR@5", "NDCG@5", "OR@1", "OR@5")
ABLATION, REJECTED_TITLES = "results/movielens_tiny", "results/movielens_smollm2"
ITERATIONS, RATES = "results/movielens_smollm2_iterations", "results/movielens_smollm2_rates"


def runs(folder: str, *patterns: str) -> list[str]:
    """Return the runs in one of this folder's folders whose names match, by their paths in the project."""
    return sorted(
        str(path.relative_to(ROOT)) for pattern in patterns for path in (ROOT / folder).glob(pattern)
    )


BY_BEAMS = runs(REJECTED_TITLES, "*-beam-*", "sasrec-*")
"""The runs that are ranked by the model's own list, and the baseline beside them."""
OF_FIVE_SEEDS = [*runs(ITERATIONS, "sprec-greedy-*", "sprec-beams-*"), f"{ITERATIONS}_more"]
"""The runs of two iterations whose arms have all five seeds."""
FIGURES = {
    "self_play.svg": (REJECTED_TITLES, "--figures", "differences", "--columns", "OR@5", "HR@5"),
    "differences.svg": (ABLATION, "--figures", "differences", "--columns", "OR@5", "HR@5"),
    "rejected_titles.svg": (
        *(REJECTED_TITLES, "--figures", "differences"),
        *("--columns", "OR@1", "OR@5", "HR@5"),
    ),
}
"""Figures in docs/figures, and the arguments of `sprec.report figures` that make the one file."""
TABLES = {
    "main": ("README.md", (*BY_BEAMS, "--table", "main")),
    "ablation-tests": ("docs/results.md", (ABLATION, "--table", "ablation", "--columns", *COLUMNS)),
    "rejected-titles": (
        "docs/results.md",
        (REJECTED_TITLES, "--table", "negatives", "--columns", *COLUMNS, "off_catalog"),
    ),
    "iterations": (
        "docs/results.md",
        (ITERATIONS, "--table", "iterations", "--columns", *COLUMNS, "off_catalog"),
    ),
    "iterations-of-five-seeds": (
        "docs/results.md",
        (*OF_FIVE_SEEDS, "--table", "iterations", "--columns", *COLUMNS, "off_catalog"),
    ),
    "second-iteration-against-random": (
        "docs/results.md",
        (ITERATIONS, "--table", "negatives", "--columns", *COLUMNS, "--against", "random negatives"),
    ),
    "rates": ("docs/results.md", (RATES, "--table", "main", "--columns", "HR@5", "OR@5")),
    **{
        f"rejected-titles-against-{word}": (
            "docs/results.md",
            (REJECTED_TITLES, "--table", "negatives", "--columns", *COLUMNS, "--against", baseline),
        )
        for word, baseline in (("random", "random negatives"), ("sft", "without DPO"))
    },
}
"""Tables: the page that holds them, and the arguments of `sprec.report`."""

DIFFERENCES_ALONE = (
    *("rejected-titles-against-random", "rejected-titles-against-sft"),
    "second-iteration-against-random",
)
"""Tables whose scores stand in another one."""


def report(*arguments: str) -> str:
    """Return what `python -m sprec.report` prints, run in the project's root so that paths read alike."""
    # In this process: what the command imports takes longer than most of these tables.
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(io.StringIO()) as printed:
        if main_of_report(arguments):
            raise SystemExit(f"failed: python -m sprec.report {' '.join(arguments)}")
    return printed.getvalue().strip()


def with_tables(page: str) -> str:
    """Return a page's text with its tables as the records give them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, (owner, arguments) in TABLES.items():
        if owner == page:
            printed = report(*arguments)
            if name in DIFFERENCES_ALONE:
                printed = printed[printed.rindex("\n**") + 1 :]
            block = f"<!-- table: {name} -->\n{printed}\n<!-- end -->"
            pattern = rf"<!-- table: {name} -->.*?<!-- end -->"
            text, count = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
            if count != 1:
                raise SystemExit(f"{page} has {count} places for the table {name}, not one")
    return text


def figures() -> dict[Path, str]:
    """Return the figures by file, as SVG text."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in FIGURES.items():
            report("figures", *arguments, "--format", "svg", "--output", f"{folder}/{name}")
            (file,) = Path(folder, name).iterdir()
            made[ROOT / "docs" / "figures" / name] = file.read_text(encoding="utf-8")
    return made


def main() -> None:
    """Console entry."""
    parser = argparse.ArgumentParser(prog="python results/make_tables.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where something differs")
    check = parser.parse_args().check
    pages = dict.fromkeys(page for page, _ in TABLES.values())
    made = {ROOT / page: with_tables(page) for page in pages} | figures()
    stale = [
        file for file, text in made.items() if not file.is_file() or file.read_text(encoding="utf-8") != text
    ]
    if check and stale:
        raise SystemExit(
            f"differ from the records: {', '.join(map(str, stale))}; make tables makes them again"
        )
    for file in stale:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made[file], encoding="utf-8")
        print(f"made again: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
