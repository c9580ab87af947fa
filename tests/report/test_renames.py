"""A reader's own names: what they may be of, and which are refused."""

import pytest

from sprec.records.run_record import DatasetEntry, RowCounts
from sprec.report.renames import load_renames
from sprec.report.tables.latex_text import escape_latex


def load(folder, text, records=()):
    path = folder / "names.toml"
    path.write_text(text)
    return load_renames(path, records)


def test_reader_renames_by_key_or_label(tmp_path):
    path = tmp_path / "names.toml"
    path.write_text(
        '"SPRec" = {text = "Ours", latex = "\\\\textsc{Ours}"}\nmovielens = "ML"\nNDCG = "nDCG"\n'
    )
    labels = load_renames(path)
    assert (labels.method("sprec"), labels.dataset("movielens")) == ("Ours", "ML")
    assert (labels.score("ndcg@5"), labels.score("hr@5")) == ("nDCG@5", "HR@5")
    assert escape_latex(labels.method("sprec").extended(", sampled")) == r"\textsc{Ours}, sampled"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sprec = 3", "sprec is no text"),
        ("sprec = {txt = 'x'}", "sprec is no text"),
        ("sprec = ' '", "sprec is no text"),
        ("sprec", "cannot be read"),
        ("sprce = 'Ours'", "nothing is called 'sprce'; did you mean sprec"),
        ("'Self-play, greedy' = 'x'", "nothing is called 'Self-play, greedy'; did you mean Self-play"),
        ("qqqqqq = 'x'", "nothing is called 'qqqqqq'; write a key or label of ours, or one in these records"),
        ("'off_catalog@5' = 'x'", "nothing is called 'off_catalog@5'; did you mean off_catalog"),
        ("grounded = 'x'", "grounded is a name of 2 things; write negatives.grounded or ranking.grounded"),
        ("dpo = 'x'\nspin = 'x'", "dpo and spin would both read 'x'; rename one of them"),
        ("sprec = 'x'\nSPRec = 'y'", "sprec and SPRec are one name; leave one of the lines out"),
    ],
)
def test_file_of_names_that_is_none_is_one_line(tmp_path, text, message):
    path = tmp_path / "names.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_renames(path)
    assert str(path) in str(caught.value)


def test_a_score_of_one_list_length_has_a_name_of_its_own(tmp_path):
    labels = load(tmp_path, '"HR@5" = "Hit@5"\nHR = "Recall"')
    assert [labels.score(key) for key in ("hr@5", "hr@1", "ndcg@5")] == ["Hit@5", "Recall@1", "NDCG@5"]


def test_a_key_of_two_kinds_is_renamed_by_kind_or_by_label(tmp_path):
    for name in ("ranking.grounded", "grounding"):
        labels = load(tmp_path, f'{name} = "similarity search"')
        assert labels.ranking("grounded") == "similarity search"
        assert labels.negatives("GroundedSelfPlay") == "Grounded self-play"


def test_latex_alone_leaves_the_text(tmp_path):
    label = load(tmp_path, "sprec = {latex = 'X'}").method("sprec")
    assert (label, label.latex) == ("SPRec", "X")


def test_names_of_a_readers_own_count_where_records_hold_them(make, tmp_path):
    data = DatasetEntry("my_films", "00", 4, RowCounts(3, 2, 1))
    records = [make("my_loss", "TheirSampler depth=2", dataset=data), make("sprec")]
    text = 'my_loss = "Ours"\nmy_films = "Films"\nTheirSampler = "theirs"\n"iteration 1" = "first"'
    labels = load(tmp_path, text, records)
    shown = labels.method("my_loss"), labels.dataset("my_films"), labels.negatives("TheirSampler depth=2")
    assert (*shown, labels.method("iteration_1")) == ("Ours", "Films", "theirs, depth=2", "first")
    with pytest.raises(ValueError, match="nothing is called 'my_loss'"):
        load(tmp_path, text)
    with pytest.raises(ValueError, match="my_loss and sprec would both read 'SPRec'"):
        load(tmp_path, 'my_loss = "SPRec"', records)
    # Nothing in these records has the other name.
    assert load(tmp_path, 'my_loss = "DPO"', records).method("my_loss") == "DPO"
