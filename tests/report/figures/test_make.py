import re
from dataclasses import replace

import pytest

from sprec.report.figures.figure_kinds import Figure, MissingPart
from sprec.report.figures.make import make_figures
from sprec.report.figures.save import save_figure, slug, to_inline_svg
from sprec.report.figures.style import NEUTRALS, PAIRS
from tests.report.conftest import evaluation, evaluations
from tests.report.hostile_records import GENRES, full


@pytest.fixture
def figures(make):
    return {figure.name: figure for figure in make_figures([full(make, seed=0), full(make, seed=1)])}


def values(chart):
    """Return the points of every layer of a chart."""
    specification = chart.to_dict()
    layers = specification.get("layer", [specification])
    own = [layer["data"]["values"] for layer in layers if "data" in layer]
    return own or [specification["data"]["values"]]


def test_every_figure_of_the_paper_is_there(figures):
    assert list(figures) == [
        "differences",
        "iterations_1",
        "iterations_2",
        "plane",
        "ranks",
        "genres",
        "curves",
    ]
    assert [len(figure.panels) for figure in figures.values()] == [7, 6, 6, 2, 2, 2, 3]


def test_metric_over_iterations_has_means_and_the_interval_of_the_change(figures):
    chart = figures["iterations_1"].panels[0].chart
    *_, points = values(chart)
    # HR@1 .10 and .11 before, .30 and .31 after: each seed changes by .2, so the bar has no length
    assert [(round(p["value"], 6), round(p["low"], 6), round(p["high"], 6)) for p in points] == [
        (0.105, 0.105, 0.105),
        (0.305, 0.305, 0.305),
    ]
    assert (
        "HR@1 over iterations, higher is better. SPRec: 0.105, 0.305."
        in figures["iterations_1"].panels[0].alternative
    )


def test_numbers_of_a_figure_stand_in_its_table(figures):
    table = figures["iterations_1"].table
    assert table.columns[:4] == ("model", "iteration", "seeds", "HR@1")
    # .105 ± 12.7062 · .00707 / √2, cut at 0
    assert table.rows[0][:4] == ("SPRec", 0, 2, "0.1050 [0.0415, 0.1685]")


def test_over_recommendation_starts_at_the_most_recommended_item(figures):
    rows = {row[:2]: row[2:4] for row in figures["ranks"].table.rows}
    # first places before: item 0 five times of six; after: items 6 0 2 0 3 1; chosen next: item 6 twice
    assert rows["initial SFT", 1] == pytest.approx((5 / 6, 1.0))
    assert rows["SPRec", 1] == pytest.approx((2 / 6, 4 / 6))
    assert rows["what users chose next", 1] == pytest.approx((2 / 6, 4 / 6))


def test_genres_stand_beside_those_of_histories(figures):
    rows = {row[:2]: row[2:] for row in figures["genres"].table.rows}
    assert rows[GENRES[0], 1] == pytest.approx((0.5, 5 / 6, 4 / 6))


def test_curves_follow_each_other_iteration_after_iteration(figures):
    (points,) = values(figures["curves"].panels[-1].chart)
    assert [(points[0]["x"], points[0]["y"]), (points[-1]["x"], points[-1]["y"])] == [(0, 0), (2, 0.5)]
    names = [panel.alternative.split(",")[0] for panel in figures["curves"].panels]
    assert names == ["initial SFT", "DPO", "DPO"]


def test_baseline_far_from_the_paths_is_named_and_not_drawn(make):
    near = evaluation("near", None, 0.015)
    far = replace(evaluation("far", None, 0.5), ranking="popularity")
    record = make(evaluations=(*evaluations(0.02), near, far))
    figure = next(
        each for each in make_figures([record]) if isinstance(each, Figure) and each.name == "plane"
    )
    assert [style.name for style in figure.legend] == [
        "SPRec",
        "initial SFT",
        "most popular",
        "near",
    ]
    assert "Far outside: far (Div@1 0.500, HR@1 0.500); far (Div@5" in figure.caption


def test_record_without_lists_says_which_figures_are_absent(make):
    parts = make_figures([make()])
    assert [each.title for each in parts if isinstance(each, MissingPart)] == [
        "Over-recommendation",
        "Genres: histories and recommendations",
        "Training",
    ]


def test_run_without_scores_has_one_line(make):
    assert [each.reason for each in make_figures([make(evaluations=(), status="failed")])] == [
        "no run has scores yet"
    ]


def test_baselines_alone_still_have_a_plane(make):
    parts = make_figures([make("sasrec", evaluations=evaluations()[:1])])
    assert [each.name for each in parts if isinstance(each, Figure)] == ["plane"]


def test_drawing_has_known_colours_no_ground_and_nothing_that_loads(figures):
    svg = to_inline_svg(figures["iterations_1"].panels[0].chart, "what it says")
    known = {color for pair in (*PAIRS, *NEUTRALS) for color in pair[:1]}
    assert set(re.findall("#[0-9a-f]{6}", svg)) <= known
    assert 'fill="white"' not in svg
    assert not re.findall(r"url\(|href=|<style|<script|\bid=", svg)
    assert re.findall(r'role="[^"]*"|aria-[a-z]+="[^"]*"', svg) == ['role="img"', 'aria-label="what it says"']


def test_names_in_a_drawing_are_text(figures):
    svg = to_inline_svg(figures["genres"].panels[0].chart, '"<b>"')
    assert "Crime &amp; &lt;b&gt;Noir" in svg
    assert "<b>" not in svg


@pytest.mark.parametrize(
    ("name", "start"), [("svg", b"<svg"), ("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF")]
)
def test_figure_is_a_file_of_each_format(figures, tmp_path, name, start):
    path = tmp_path / f"plane.{name}"
    save_figure(figures["plane"], path, name)
    assert path.read_bytes().startswith(start)
    assert len(path.read_bytes()) > 3000


def test_file_is_the_same_every_time(figures, tmp_path):
    for number in "12":
        save_figure(figures["ranks"], tmp_path / f"{number}.svg", "svg")
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_slug_is_a_file_name_whatever_the_dataset_is_called():
    assert slug("1 ../Ünïcode: a/b") == "1-n-code-a-b"
