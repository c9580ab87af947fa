import json
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser

import pytest

from sprec.records.output_folder import Claim, claim_folder
from sprec.records.run_record import DatasetEntry, RowCounts
from sprec.report import __main__ as report
from sprec.report.figures import write_figures
from sprec.report.figures.figure_kinds import Figure
from sprec.report.page import render as page_module
from sprec.report.page.parts import DETAIL_LEVELS, PageOptions
from sprec.report.page.render import main, page_that_fits, report_groups, watch
from tests.report.conftest import evaluations
from tests.report.hostile_records import TITLES, full


@pytest.fixture
def folder(make, tmp_path):
    for seed in (0, 1):
        full(make, seed=seed).save(tmp_path / "runs" / str(seed) / "run.json")
    return tmp_path / "runs"


@pytest.fixture
def without_drawings(monkeypatch):
    """Leave out the drawings, which take most of a page's time."""
    monkeypatch.setattr(page_module, "to_inline_svg", lambda chart, alternative: "<svg></svg>")


def run_page(capsys, *arguments):
    status = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


class Text(HTMLParser):
    """The page's tags, and its text outside tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(("arms", "folded"), [(6, []), (7, [True] + 6 * [False])])
def test_cards_of_many_arms_are_folded_but_for_the_first(make, without_drawings, arms, folded):
    negatives = ["self_play", "random", "popular", "in_batch", "semantic_similar", "low_exposure", "ches"]
    records = [full(make, negatives=name) for name in negatives[:arms]]
    read = Text(page_that_fits(report_groups(records), PageOptions("t")))
    cards = [attrs for tag, attrs in read.tags if tag == "details" and "fold" in attrs.get("class", "")]
    assert ["open" in attrs for attrs in cards] == folded


def test_page_is_one_small_file_that_loads_nothing(capsys, folder, tmp_path):
    path = tmp_path / "page.html"
    assert run_page(capsys, folder, "--output", path) == (0, "", "")
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    read = Text(text)
    assert not {tag for tag, _ in read.tags} & {"script", "img", "link", "iframe", "object", "embed", "base"}
    assert all(not set(attrs) & {"src", "srcset", "data", "action", "poster"} for _, attrs in read.tags)
    targets = [attrs["href"] for _, attrs in read.tags if "href" in attrs]
    assert targets
    assert all(target.startswith("#") for target in targets)
    style = re.search("<style>(.*?)</style>", text, re.S)[1]
    assert not re.findall(r"url\(|@import|https?:", style)
    policy = next(attrs["content"] for tag, attrs in read.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none';")


@pytest.mark.usefixtures("without_drawings")
def test_titles_are_shown_as_they_are(capsys, folder, tmp_path):
    path = tmp_path / "page.html"
    run_page(capsys, folder, "--output", path)
    text = Text(path.read_text(encoding="utf-8")).text
    for title in TITLES:
        assert title in text


@pytest.mark.usefixtures("without_drawings")
def test_page_is_a_word_of_the_report_command(capsys, folder, tmp_path):
    assert report.main(["page", str(folder), "--output", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").is_file()


def test_figures_are_files(capsys, folder, tmp_path, monkeypatch):
    target = tmp_path / "figures"
    monkeypatch.setattr(write_figures, "save_figure", lambda figure, path, kind, width: path.touch())
    assert run_page(capsys, folder, "--figures", target, "--format", "svg", "pdf") == (0, "", "")
    names = {path.name for path in target.iterdir()}
    kinds = ["differences", "iterations_1", "iterations_2", "plane", "ranks", "genres", "curves"]
    assert names == {f"{kind}.{end}" for kind in kinds for end in ("svg", "pdf")}


@pytest.mark.usefixtures("without_drawings")
def test_runs_that_cannot_be_compared_are_never_in_one_figure(capsys, folder, make, tmp_path, monkeypatch):
    full(make, dataset=DatasetEntry("books", "ff", 8, RowCounts(3, 2, 1))).save(folder / "2" / "run.json")
    target = tmp_path / "figures"
    monkeypatch.setattr(write_figures, "save_figure", lambda figure, path, kind, width: path.touch())
    run_page(capsys, folder, "--figures", target, "--output", tmp_path / "page.html")
    names = {path.name for path in target.iterdir()}
    assert {"1-movie_lens-smollm2_135m-plane.svg", "2-books-smollm2_135m-plane.svg"} <= names
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall('<h2 id="s.">(.*?)</h2>', text) == [
        "<bdi>movie_lens × SmolLM2-135M-Instruct</bdi>",
        "<bdi>books × SmolLM2-135M-Instruct</bdi>",
    ]


@pytest.mark.usefixtures("without_drawings")
def test_same_names_with_other_data_are_told_apart_by_their_digest(make):
    other = DatasetEntry("movie_lens", "ffff0000", 4, RowCounts(3, 2, 1))
    text = page_that_fits(report_groups([make(), make(dataset=other)]), PageOptions("t"))
    assert "movie_lens (ffff0000), smollm2_135m (fedcba98), N = 1000</bdi></h2>" in text


@pytest.mark.usefixtures("without_drawings")
def test_failed_run_is_said_and_the_rest_is_shown(make):
    failed = make("dpo", status="failed", error="OSError: disk <full>\nTraceback", evaluations=())
    text = Text(page_that_fits(report_groups([full(make), failed]), PageOptions("t"))).text
    assert "DPO, self-play on movie_lens × SmolLM2-135M-Instruct, seed 0 failed: OSError: disk <full>" in text
    assert "Traceback" not in text
    assert "Metrics over iterations" in text


@pytest.mark.usefixtures("without_drawings")
def test_what_has_no_record_or_a_damaged_one_is_said_in_the_page_and_on_standard_error(
    capsys, folder, tmp_path
):
    claim = Claim("python -m sprec.run seed=7", "2026-01-01", choices=("seed=7",))
    with pytest.raises(ValueError, match="no such file"), claim_folder(folder / "7", claim):
        raise ValueError("dataset.path: no such file")
    (folder / "8").mkdir()
    (folder / "8" / "run.json").write_text("[]")
    status, _, err = run_page(capsys, folder, "--output", tmp_path / "page.html")
    text = Text((tmp_path / "page.html").read_text(encoding="utf-8")).text
    lines = (
        f"left out: {folder / '8' / 'run.json'}",
        "seed=7: dataset.path: no such file; to run it again: python -m sprec.run seed=7",
    )
    assert (status, err.count("\n")) == (0, 2)
    for line in lines:
        assert line in err
        assert line in text.partition("Not everything here is finished:")[2]


@pytest.mark.usefixtures("without_drawings")
def test_nothing_but_a_failed_run_still_gives_a_page(make):
    text = page_that_fits(
        report_groups([make(status="failed", error="boom", evaluations=())]), PageOptions("t")
    )
    assert "Figures: no run has scores yet." in Text(text).text


@pytest.mark.usefixtures("without_drawings")
def test_record_of_schema_1_says_what_is_absent(capsys, make, tmp_path):
    place = tmp_path / "run.json"
    make().save(place)
    document = json.loads(place.read_text())
    for name in ("targets", "items", "history_genres", "sampled_users", "curves", "tracker"):
        del document[name]
    for each in document["evaluations"]:
        del each["lists"], each["written"]
    place.write_text(json.dumps(document | {"schema": 1}))
    assert run_page(capsys, place, "--output", tmp_path / "page.html") == (0, "", "")
    text = Text((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "Over-recommendation: the records hold no recommendation lists (schema 1); run again" in text
    assert "Who got what: the records hold no users to look at" in text


@pytest.mark.usefixtures("without_drawings")
def test_provenance_of_every_run_is_there(make):
    text = Text(
        page_that_fits(report_groups([full(make, tracker="https://wandb.example/run")]), PageOptions("t"))
    ).text
    for part in (
        "python -m sprec.run method=sprec seed=0",
        "abcdef0123456789",
        "torch 2.13.0",
        "fedcba9876543210",
        "a1b2c3",
        "off catalog",
        "https://wandb.example/run",
        '"beta": 0.1',
    ):
        assert part in text


@pytest.mark.usefixtures("without_drawings")
def test_page_that_is_too_long_leaves_configurations_out_first(make, monkeypatch):
    scenes = report_groups([full(make, config={"seed": 0, "long": "x" * 5000})])
    whole = page_that_fits(scenes, PageOptions("t"))
    monkeypatch.setattr(page_module, "MOST_BYTES", len(whole.encode()) - 1)
    shorter = page_that_fits(scenes, PageOptions("t"))
    assert "Left out, to keep this file small: the runs&#39; configurations." in shorter
    assert len(shorter) < len(whole) - 4000
    monkeypatch.setattr(page_module, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="name fewer folders"):
        page_that_fits(scenes, PageOptions("t"))


@pytest.mark.usefixtures("without_drawings")
def test_emptiest_page_keeps_the_figure_of_differences_and_says_where_others_are(make, monkeypatch):
    scenes = report_groups([full(make)])
    titles = {
        figure.name: figure.title
        for scene in scenes
        for figure in scene.figures
        if isinstance(figure, Figure)
    }
    assert len(titles) > 3
    monkeypatch.setattr(page_module, "DETAIL_LEVELS", DETAIL_LEVELS[-1:])
    text = page_that_fits(scenes, PageOptions("t"))
    assert [name for name, title in titles.items() if f">{title}</h" in text] == ["differences"]
    assert "all figures but the differences (--figures DIR writes them)." in text


@pytest.mark.slow
def test_page_of_many_runs_is_small_enough(make):
    runs = [
        full(make, method=f"method_{number}", seed=seed, evaluations=evaluations(*[0.02] * 5))
        for number in range(12)
        for seed in range(5)
    ]
    assert len(page_that_fits(report_groups(runs), PageOptions("t")).encode()) <= 1_500_000


@pytest.mark.usefixtures("without_drawings")
def test_users_are_chosen(capsys, folder, tmp_path):
    path = tmp_path / "page.html"
    run_page(capsys, folder, "--output", path, "--users", 4)
    text = path.read_text(encoding="utf-8")
    assert "User 4: next is" in text
    assert "User 0: next is" not in text
    status, _, err = run_page(capsys, folder, "--output", path, "--users", 99)
    assert (status, err.count("\n")) == (2, 1)
    assert "--users 99: the records hold the users 0, 4" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere", "--output", "x.html"], "nowhere does not exist"),
        (["."], "nothing to write; give --output FILE for the page, --figures DIR for its figures"),
        (
            [".", "--format", "pdf", "--output", "x.html"],
            "--format is that of figures in files of their own; give",
        ),
        ([".", "--users", "4", "--figures", "x"], "--users are shown on the page; give --output FILE"),
        ([".", "--output", "x.html"], "no run.json below .; run something first, or name other folders"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    status, out, err = run_page(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("sprec.report page: ")
    assert line in err


@pytest.mark.usefixtures("without_drawings")
def test_place_that_cannot_be_written_is_one_line(capsys, folder):
    status, _, err = run_page(capsys, folder, "--output", folder / "none" / "page.html")
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.usefixtures("without_drawings")
def test_lists_that_are_broken_are_one_line(capsys, make, tmp_path):
    record = full(make)
    broken = replace(record.evaluations[1], lists="not base64!")
    replace(record, evaluations=(record.evaluations[0], broken)).save(tmp_path / "run.json")
    status, _, err = run_page(capsys, tmp_path, "--output", tmp_path / "page.html")
    assert (status, err.count("\n")) == (2, 1)
    assert "no encoded lists" in err


@pytest.mark.usefixtures("without_drawings")
def test_missing_package_is_named_with_the_remedy(capsys, folder, monkeypatch):
    monkeypatch.setattr("sprec.report.figures.save.PACKAGES", ("altair", "no_such_package"))
    status, _, err = run_page(capsys, folder, "--output", folder / "page.html")
    assert status == 2
    assert (
        "no_such_package is not installed; add the extra: pip install -e '.[report]' in the checkout" in err
    )


@pytest.mark.usefixtures("without_drawings")
def test_a_watched_page_is_written_again_when_a_record_changes(capsys, folder, make, tmp_path, monkeypatch):
    page, turns = tmp_path / "page.html", []

    def wait(seconds):
        turns.append(page.read_text(encoding="utf-8"))
        if len(turns) == 1:
            make("dpo", seed=7).save(folder / "late" / "run.json")
        if len(turns) == 4:
            with suppress(OSError), claim_folder(folder / "early", Claim("python -m sprec.run", "now")):
                raise OSError("no space left")
        if len(turns) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("sprec.report.page.render.watch", partial(watch, wait=wait))
    assert run_page(capsys, folder, "--output", page, "--watch")[0] == 0
    assert "seed 7" not in turns[0]
    assert "seed 7" in turns[1]
    assert turns[1] == turns[3]
    assert "no space left" in turns[4]
    assert 'http-equiv="refresh" content="5"' in turns[0]
    assert run_page(capsys, folder, "--output", page)[0] == 0
    assert "refresh" not in page.read_text(encoding="utf-8").partition("<body>")[0]
    status, _, err = run_page(capsys, folder, "--watch")
    assert (status, "give --output FILE" in err) == (2, True)
