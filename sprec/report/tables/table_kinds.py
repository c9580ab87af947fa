"""The tables that there are: what their rows vary, what they are compared with, and what fills them."""

from collections.abc import Mapping
from dataclasses import dataclass

INITIAL = "initial SFT"
"""The name of the model that all iterations start from."""


@dataclass(frozen=True)
class Kind:
    """One table of the paper: `{}` in `title` takes the dataset and the base LLM.

    `factor` is the dotted setting that names a row, under `head`; "" where method and negatives do.
    `against` is the row that others are compared with where it is there, else the initial SFT. `options`
    are the factor's (or the methods') values in `conf/sweep/`, so that one that was never run is named.
    """

    name: str
    title: str
    factor: str = ""
    head: str = ""
    against: str = INITIAL
    options: tuple[str, ...] = ()
    across_llms: bool = False
    each_iteration: bool = False


MAIN = Kind("main", "Methods on {}")
ABLATION = Kind(
    *("ablation", "Ablation of SPRec on {}"),
    against="sprec",
    options=("sprec", "without_sft", "without_dpo", "random_negatives"),
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        MAIN,
        ABLATION,
        Kind("iterations", "Self-play iterations on {}", head="iteration", each_iteration=True),
        Kind("negatives", "Where rejected titles come from, on {}"),
        Kind("beta", "DPO's β on {}", factor="method.objective.beta", head="β"),
        Kind("sample_size", "Rows per iteration on {}", factor="budget.iteration_rows", head="rows"),
        Kind("base_llm", "Base LLMs on {}", head="base LLM", across_llms=True),
    )
}
"""Tables over several runs, by the name that `--table` takes."""
