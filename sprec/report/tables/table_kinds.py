"""The tables over several runs: what their rows vary, and what they are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass

# The name of the model that all iterations start from.
INITIAL = "initial SFT"


@dataclass(frozen=True)
class TableKind:
    """One table of the paper: `{}` in `title` stands for the dataset and the base LLM.

    `factor` is the dotted setting that names a row, under `head`; "" where method and negatives do.
    `against` is the row that the others are compared with, where it is there, else the initial SFT.
    `options` are the methods in `conf/sweep/`, so that one that was never run can be named.
    """

    name: str
    title: str
    factor: str = ""
    head: str = ""
    against: str = INITIAL
    options: tuple[str, ...] = ()
    across_llms: bool = False
    each_iteration: bool = False


MAIN = TableKind("main", "Methods on {}")
ABLATION = TableKind(
    "ablation",
    "Ablation of SPRec on {}",
    against="sprec",
    options=("sprec", "without_sft", "without_dpo", "random_negatives"),
)

# Tables by the name that `--table` takes.
TABLE_KINDS: Mapping[str, TableKind] = {
    kind.name: kind
    for kind in (
        MAIN,
        ABLATION,
        TableKind("iterations", "Self-play iterations on {}", head="iteration", each_iteration=True),
        TableKind("negatives", "Where rejected titles come from, on {}"),
        TableKind("beta", "DPO's β on {}", factor="objective.beta", head="β"),
        TableKind("sample_size", "Rows per iteration on {}", factor="budget.iteration_rows", head="rows"),
        TableKind("base_llm", "Base LLMs on {}", head="base LLM", across_llms=True),
    )
}
