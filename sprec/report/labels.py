"""What people read for methods, negatives, datasets, models, rankings and scores, and what they may type.

Tables, figures, page, W&B, `--explain` and the terminal take their words from here, and take these words as
well as the keys of the configuration as input. Metrics come from `sprec.evaluation.registry`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sprec.evaluation.registry import METRICS, label_of, split_key
from sprec.report.latex_escapes import escape_text


class Label(str):
    """A text that people read, with the LaTeX for it; "" where LaTeX's is the text, escaped."""

    __slots__ = ("latex",)

    latex: str

    def __new__(cls, text: str, latex: str = "") -> "Label":
        """Return the text with its LaTeX."""
        label = super().__new__(cls, text)
        label.latex = latex
        return label

    def extended(self, text: str, latex: str = "") -> "Label":
        """Return the label with a text after it, which LaTeX sets as `latex`, "" for the text, escaped."""
        if not (self.latex or latex):
            return Label(f"{self}{text}")
        return Label(f"{self}{text}", f"{self.latex or escape_text(self)}{latex or escape_text(text)}")


# The groups of the main table's rows, in their order, each with its methods in theirs.
METHOD_GROUPS: Mapping[str, Mapping[str, str]] = {
    "Baselines": {"most_popular": "most popular", "gru4rec": "GRU4Rec", "sasrec": "SASRec"},
    "SFT-based": {
        "initial_sft": "initial SFT",
        "sft": "SFT",
        "rw": "RW",
        "rw_released": "RW (released)",
        "d3": "D3",
        "cft": "CFT",
    },
    "DPO-based": {
        "dpo": "DPO",
        "sdpo": "S-DPO",
        "sdpo_released": "S-DPO (released)",
        "dmpo": "DMPO",
        "dmpo_released": "DMPO (released)",
        "rosepo": "RosePO",
        "rosepo_released": "RosePO (released)",
        "spin": "SPIN",
        "spin_released": "SPIN (released)",
    },
    "SPRec": {
        "sprec": "SPRec",
        "without_sft": "without SFT",
        "without_dpo": "without DPO",
        "random_negatives": "random negatives",
    },
}
METHODS = {key: text for group in METHOD_GROUPS.values() for key, text in group.items()}

# By option: what people read, and how a record names the sampler. Of two that match, the longer one does.
NEGATIVES: Mapping[str, tuple[str, str]] = {
    "none": ("–", "none"),
    "self_play": ("Self-play", "SelfPlay"),
    "grounded": ("Grounded self-play", "GroundedSelfPlay"),
    "constrained": ("Own best catalogue title", "Beams"),
    "beams": ("Own best catalogue titles", "Beams count=3"),
    "self_hard": ("Self-hard", "Beams wrong_only=True"),
    "random": ("Random", "Random"),
    "popular": ("Popular", "Popular"),
    "in_batch": ("In-batch", "InBatch"),
    "semantic_similar": ("Semantically similar", "Semantic similar=True"),
    "semantic_dissimilar": ("Semantically dissimilar", "Semantic similar=False"),
    "low_exposure": ("Low exposure", "Exposure exposure=low"),
    "high_exposure": ("High exposure", "Exposure exposure=high"),
    "clusterin_low": ("Low exposure, own genres", "Exposure exposure=low cluster=in"),
    "clusterin_high": ("High exposure, own genres", "Exposure exposure=high cluster=in"),
    "clusterout_low": ("Low exposure, other genres", "Exposure exposure=low cluster=out"),
    "clusterout_high": ("High exposure, other genres", "Exposure exposure=high cluster=out"),
    "balanced": ("Balanced exposure", "Balanced"),
    "ches": ("Similar hidden states", "Ches"),
    "mixture": ("Mixture", "Mixture"),
}
# What a method's rejected titles come from where nothing else is said; random titles for the rest.
USUAL_NEGATIVES = {
    **dict.fromkeys(("sprec", "without_sft", "spin", "spin_released"), "self_play"),
    **dict.fromkeys(("sdpo", "sdpo_released", "dmpo", "dmpo_released"), "Random count=3"),
    **dict.fromkeys(("sft", "rw", "rw_released", "d3", "cft", "without_dpo"), "none"),
    "rosepo": "self_hard",
    "rosepo_released": "Semantic similar=False to=history",
}
# What tunes on pairs where nothing else is said; DPO for the rest.
USUAL_OBJECTIVES = {name: key for key in ("sdpo", "dmpo", "rosepo") for name in (key, f"{key}_released")}
DECODINGS = {"greedy": "greedy", "sampled": "sampled"}
RANKINGS = {"beam": "beam search", "grounded": "grounding", "guided": "guided beam search"}
DATASETS = {
    "toy": "Toy",
    "movielens": "MovieLens-100K",
    "movielens_latest_small": "MovieLens-latest-small",
    "movielens_1m": "MovieLens-1M",
    "movielens_10m": "MovieLens-10M",
    "movielens_25m": "MovieLens-25M",
    "goodreads": "Goodreads",
    "cds_and_vinyl": "CDs and Vinyl",
    "steam": "Steam",
}
BASE_LLMS = {
    "tiny": "tiny Llama",
    "smollm2_135m": "SmolLM2-135M-Instruct",
    "smollm2_360m": "SmolLM2-360M-Instruct",
    "smollm2_1_7b": "SmolLM2-1.7B-Instruct",
    "qwen2_5_0_5b": "Qwen2.5-0.5B-Instruct",
    "qwen2_5_1_5b": "Qwen2.5-1.5B-Instruct",
    "qwen3_0_6b": "Qwen3-0.6B",
    "llama3_2_1b": "Llama-3.2-1B-Instruct",
    "llama3_2_3b": "Llama-3.2-3B-Instruct",
}


# What a name may be of; a key may be one of two kinds, such as "grounded".
Kind: TypeAlias = Literal["method", "negatives", "ranking", "dataset", "base_llm", "metric"]
REGISTRIES: Mapping[Kind, Iterable[str]] = {
    "method": METHODS,
    "negatives": NEGATIVES,
    "ranking": RANKINGS,
    "dataset": DATASETS,
    "base_llm": BASE_LLMS,
    "metric": METRICS,
}
Renamed: TypeAlias = Mapping[tuple[Kind, str], Label]


@dataclass(frozen=True)
class Labels:
    """The words for everything that a report names; `renamed` holds a reader's own, by kind and key."""

    renamed: Renamed = field(default_factory=dict)

    def method(self, key: str) -> Label:
        """Return the label of a method, or of an evaluated model such as "iteration_1".

        >>> Labels().method("without_dpo"), Labels().method("iteration_1"), Labels().method("my_loss")
        ('without DPO', 'iteration 1', 'my_loss')
        """
        iteration = key.removeprefix("iteration_")
        plain = f"iteration {iteration}" if iteration.isdigit() and iteration != key else key
        return self._find("method", key, METHODS.get(key, plain))

    def negatives(self, recorded: str) -> Label:
        """Return the label of what rejected titles come from, as a record or the configuration names it.

        >>> Labels().negatives("SelfPlay Sampled"), Labels().negatives("Beams count=2")
        ('Self-play, sampled', 'Own best catalogue title, count=2')
        """
        key, details = split_negatives(recorded)
        parts = [DECODINGS.get(detail.lower(), detail) for detail in details]
        label = self._find("negatives", key, NEGATIVES[key][0] if key in NEGATIVES else key)
        return label.extended("".join(f", {part}" for part in parts))

    def with_negatives(self, label: Label, method: str, recorded: str) -> Label:
        """Return a method's label, followed by its negatives where they are not the method's usual ones.

        >>> Labels().with_negatives(Label("SPRec"), "sprec", "SelfPlay Sampled")
        'SPRec, sampled'
        """
        option, details = split_negatives(recorded)
        usual, usual_details = split_negatives(USUAL_NEGATIVES.get(method, "random"))
        if option == "none":
            return label.extended(", no rejected titles" if usual not in ("none", "random") else "")
        if option == usual and set(usual_details) <= set(details):
            more = [detail for detail in details if detail not in (*usual_details, "Greedy")]
            return label.extended("".join(f", {DECODINGS.get(detail.lower(), detail)}" for detail in more))
        negatives = self.negatives(recorded)
        own = f", {negatives.latex}" if negatives.latex else ""
        return label.extended(f", {negatives[:1].lower()}{negatives[1:]}", own)

    def ranking(self, key: str) -> Label:
        """Return the label of what ranks the catalogue."""
        return self._find("ranking", key, RANKINGS.get(key, key))

    def dataset(self, key: str) -> Label:
        """Return the label of a dataset."""
        return self._find("dataset", key, DATASETS.get(key, key))

    def base_llm(self, key: str) -> Label:
        """Return the label of a base LLM."""
        return self._find("base_llm", key, BASE_LLMS.get(key, key))

    def score(self, key: str) -> Label:
        """Return the label of a score; a renamed metric keeps its list length."""
        name, cutoff = split_key(key)
        metric = self.renamed.get(("metric", name))
        if ("metric", key) in self.renamed or metric is None:
            return self._find("metric", key, label_of(key))
        return metric.extended("" if cutoff is None else f"@{cutoff}")

    def _find(self, kind: Kind, key: str, text: str) -> Label:
        return self.renamed.get((kind, key)) or Label(text)


LABELS = Labels()


def split_negatives(recorded: str) -> tuple[str, list[str]]:
    """Return the option that a record's or a configuration's negatives are, and what is added to it.

    >>> split_negatives("SelfPlay count=2 Sampled"), split_negatives("random"), split_negatives("MyOwn x=1")
    (('self_play', ['count=2', 'Sampled']), ('random', []), ('MyOwn', ['x=1']))
    """
    words = recorded.split() or ["none"]
    matches = [key for key, (_, name) in NEGATIVES.items() if set(name.split()) <= set(words)]
    if words[0] in NEGATIVES or not matches:
        return words[0], words[1:]
    key = max(matches, key=lambda key: len(NEGATIVES[key][1]))
    matched = NEGATIVES[key][1].split()
    return key, [word for word in words if word not in matched]


def method_order(key: str) -> float:
    """Return where a method stands among others; one that the registry does not know is before self-play's.

    >>> method_order("sasrec") < method_order("somebody_elses") < method_order("sprec")
    True
    """
    order = list(METHODS)
    return order.index(key) if key in METHODS else order.index("sprec") - 0.5


def takes_any_negatives(method: str) -> bool:
    """Return whether a method leaves it to the configuration where its rejected titles come from.

    >>> takes_any_negatives("without_sft"), takes_any_negatives("random_negatives")
    (True, False)
    """
    return USUAL_NEGATIVES.get(method, "random") == "self_play"


def number_equal_names(names: Sequence[Label]) -> list[Label]:
    """Return the names, equal ones with a number, since none may stand for another.

    >>> number_equal_names([Label("SPRec"), Label("DPO"), Label("SPRec")])
    ['SPRec (1)', 'DPO', 'SPRec (2)']
    """
    return [
        name if names.count(name) == 1 else name.extended(f" ({names[: place + 1].count(name)})")
        for place, name in enumerate(names)
    ]


def same_name(one: str, two: str) -> bool:
    """Return whether two names differ in case, spaces, hyphens and underscores at most.

    >>> same_name("without_dpo", "Without DPO"), same_name("S-DPO", "dpo")
    (True, False)
    """
    return _squeeze(one) == _squeeze(two)


def find_score(text: str, keys: Iterable[str]) -> str:
    """Return the one of these scores that a reader means, by key or by label; `ValueError` for none.

    >>> find_score("OR@5", ["hr@5", "or_ratio@5"])
    'or_ratio@5'
    """
    known = list(keys)
    for key in known:
        if text.casefold() in (key, label_of(key).casefold()):
            return key
    listed = ", ".join(map(label_of, known))
    raise ValueError(f"there is no score {text!r} in these records; there is {listed}")


def _squeeze(name: str) -> str:
    return "".join(char for char in name.casefold() if char not in " -_")
