"""The figure of differences: the tables' own intervals, seeds as dots, files as wide as a paper wants."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from sprec.report.figures import write_figures
from sprec.report.figures.figure_kinds import Figure, MissingPart
from sprec.report.figures.make import make_figures
from sprec.report.figures.save import save_figure
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.table_kinds import TABLE_KINDS
from tests.report.conftest import evaluations
from tests.report.random_lists import ranked, targets, with_lists


@pytest.fixture(scope="module")
def records(make):
    """Fifteen arms at two seeds; the first recommends popular items least."""
    target, records = targets(), []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        sft = ranked(rng, 200, skew=1.4, target=target, hits=0.05)
        for number in range(15):
            last = ranked(rng, 200, skew=0.6 + 0.08 * number, target=target, hits=0.05)
            sets = [("initial_sft", 0, sft), ("iteration_1", 1, last)]
            records.append(with_lists(make("sprec", f"Sampler{number:02}", seed=seed), sets))
    return records


def figure_of(records, columns=()):
    return next(part for part in make_figures(records, columns) if isinstance(part, Figure))


def test_intervals_are_those_of_the_table(records):
    options = TableOptions(tested=True, against="initial SFT", columns=("or_ratio@5", "hr@5"))
    table = score_tables(TABLE_KINDS["negatives"], records, options)[1]
    figure = figure_of(records, ["OR@5", "HR@5"])
    expected = {(row[0] + ", " + row[1][:1].lower() + row[1][1:]): row[2] for row in table.rows}
    shown = {row[0]: row[-1] for row in figure.table.rows if row[1] == "OR@5"}
    assert shown == expected
    assert [panel.alternative[:4] for panel in figure.panels] == ["OR@5", "HR@5"]


def test_fifteen_arms_are_rows_of_dots_and_no_lines(records):
    parts = make_figures(records)
    assert [part.name for part in parts if isinstance(part, Figure)] == ["differences"]
    reasons = [part.reason for part in parts if isinstance(part, MissingPart)]
    assert reasons == ["15 arms are too many for lines; name folders of 6 at most"]


def test_single_seeds_are_dots_beside_the_mean(records):
    *_, seeds, means = figure_of(records, ["OR@5"]).panels[0].chart.to_dict()["layer"]
    values = {}
    for point in seeds["data"]["values"]:
        values.setdefault(point["arm"], []).append(point["value"])
    for point in means["data"]["values"]:
        assert len(values[point["arm"]]) == 2
        assert point["value"] == pytest.approx(sum(values[point["arm"]]) / 2)
        assert point["low"] <= point["value"] <= point["high"]


def test_records_without_lists_have_means_and_no_verdict(make):
    figure = figure_of([make(), make(seed=1, evaluations=evaluations(0.04))], ["HR@1"])
    assert figure.table.rows == (("SPRec", "HR@1", pytest.approx(0.01), pytest.approx(0.03), None),)
    assert "no tests" in figure.caption


@pytest.mark.parametrize(("width", "points"), [("column", 240.0), ("page", 504.0)])
def test_file_is_as_wide_as_a_paper_wants_and_names_do_not_overlap(records, tmp_path, width, points):
    path = tmp_path / "figure.svg"
    save_figure(figure_of(records, ["OR@5", "HR@5"]), path, "svg", width=width)
    root = ElementTree.parse(path).getroot()
    assert float(root.attrib["width"]) == points
    assert "Differences to" not in path.read_text()


def test_figure_that_is_not_there_is_one_line(records, tmp_path, capsys):
    records[0].save(tmp_path / "run.json")
    arguments = [str(tmp_path), "--output", str(tmp_path / "figures"), "--figures", "plot"]
    assert write_figures.main(arguments) == 2
    expected = "sprec.report figures: there is no figure 'plot' of these records; there is differences"
    assert capsys.readouterr().err.startswith(expected)
    assert not (tmp_path / "figures").exists()


def test_what_records_do_not_hold_per_user_is_called_untested(records):
    figure = figure_of(records, ["OR@5", "off-catalogue"])
    alternative = figure.panels[1].alternative
    assert ", not tested" in alternative
    assert "unclear" not in alternative
    assert figure.caption.endswith("Records do not hold off-catalogue per user: no interval, no test.")


def test_an_arm_whose_records_lack_lists_is_named_and_seeds_are_counted(records):
    bare = [
        replace(run, method="without_sft", evaluations=tuple(replace(e, lists="") for e in run.evaluations))
        for run in records[:1]
    ]
    figure = figure_of([*records, *bare], ["OR@5"])
    assert "mean over 1 to 2 seeds" in figure.caption
    assert figure.caption.endswith("Some records lack lists, so without a test: without SFT, sampler00.")


def test_a_long_name_stands_whole_in_the_figure_however_many_lines_it_takes(make, tmp_path):
    target, rng = targets(), np.random.default_rng(0)
    lists = [ranked(rng, 200, skew=1.2, target=target, hits=0.05) for _ in range(2)]
    sets = [("initial_sft", 0, lists[0]), ("iteration_1", 1, lists[1])]
    record = with_lists(make("sprec", "Beams count=3"), sets)
    beams = tuple(replace(one, ranking="beam") for one in record.evaluations)
    record = replace(record, evaluations=beams, config={"seed": 0, "ranking": {"_target_": "rankers.Beam"}})
    other = replace(record, config={"seed": 0, "ranking": {"_target_": "rankers.Grounded"}})
    other = replace(other, evaluations=tuple(replace(one, ranking="grounded") for one in other.evaluations))
    save_figure(figure_of([record, other], ["OR@5"]), tmp_path / "figure.svg", "svg", width="column")
    text = (tmp_path / "figure.svg").read_text()
    assert "…" not in text
    for line in ("own best catalogue titles", "(beam search)", "(grounding)"):
        assert line in text
