"""One registry of words: what people read is what they may type, and every option of conf has a label."""

from pathlib import Path

import pytest

from sprec.report.labels import (
    BASE_LLMS,
    DATASETS,
    DECODINGS,
    LABELS,
    METHODS,
    NEGATIVES,
    RANKINGS,
    Label,
    Labels,
    find_score,
    same_name,
    split_negatives,
)
from sprec.report.tables.latex_text import escape_latex

CONF = Path(__file__).parents[2] / "conf"


def options(group):
    return {path.stem for path in (CONF / group).glob("*.yaml")}


@pytest.mark.parametrize(
    ("group", "registry", "nameless"),
    [
        ("method", METHODS, set()),
        ("negatives", NEGATIVES, set()),
        ("decoding", DECODINGS, set()),
        ("ranking", RANKINGS, set()),
        ("dataset", DATASETS, {"custom", "released"}),  # they take the name of the reader's own data
        ("base_llm", BASE_LLMS, {"folder"}),
    ],
)
def test_every_option_has_a_label(group, registry, nameless):
    assert options(group) - set(registry) - nameless == set()


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ("SelfPlay Greedy", "Self-play, greedy"),
        ("SelfPlay count=3 Sampled", "Self-play, count=3, sampled"),
        ("Beams count=3", "Own best catalogue titles"),
        ("Beams", "Own best catalogue title"),
        ("Beams wrong_only=True", "Self-hard"),
        ("Exposure exposure=low cluster=in", "Low exposure, own genres"),
        ("Exposure exposure=low width=5", "Low exposure, width=5"),
        ("random", "Random"),
        ("none", "–"),
        ("TheirSampler depth=2", "TheirSampler, depth=2"),
    ],
)
def test_negatives_are_named_as_the_registry_has_them(recorded, expected):
    assert LABELS.negatives(recorded) == expected


@pytest.mark.parametrize(
    ("method", "recorded", "expected"),
    [
        ("sprec", "SelfPlay Greedy", "SPRec"),
        ("sprec", "SelfPlay Sampled", "SPRec, sampled"),
        ("sprec", "Beams count=3", "SPRec, own best catalogue titles"),
        ("sdpo", "Random count=3", "S-DPO"),
        ("sdpo", "Random", "S-DPO, random"),
        ("without_dpo", "none", "without DPO"),
    ],
)
def test_negatives_stand_beside_a_method_only_where_they_are_unusual(method, recorded, expected):
    assert LABELS.with_negatives(LABELS.method(method), method, recorded) == expected


def test_scores_are_typed_by_key_or_label():
    keys = ["hr@5", "or_ratio@1", "off_catalog"]
    assert [find_score(text, keys) for text in ("HR@5", "or_ratio@1", "Off-catalogue")] == keys
    with pytest.raises(ValueError, match=r"no score 'mrr@5' in these records; there is HR@5, OR@1, off-cat"):
        find_score("mrr@5", keys)


def test_label_with_latex_is_written_as_it_is_and_other_text_escaped():
    assert escape_latex(Label("50% & more")) == r"50\% \& more"
    assert escape_latex(Label("β", r"$\beta$")) == r"$\beta$"
    longer = Label("Ours & co", r"Ours$^\star$").extended(" (a_b=1%)")
    assert (str(longer), longer.latex) == ("Ours & co (a_b=1%)", r"Ours$^\star$ (a\_b=1\%)")
    assert Label("A&B").extended(", x").latex == ""


def test_negatives_keep_their_own_latex_beside_a_method():
    labels = Labels({("negatives", "popular"): Label("Hard & fast", r"\textsc{Hard}")})
    name = labels.with_negatives(Label("SPRec & co"), "sprec", "Popular")
    assert (str(name), name.latex) == ("SPRec & co, hard & fast", r"SPRec \& co, \textsc{Hard}")


def test_names_are_alike_whatever_their_case_and_hyphens():
    assert same_name("Self_Play", "self-play")
    assert not same_name("dpo", "sdpo")
    assert split_negatives("GroundedSelfPlay") == ("grounded", [])
