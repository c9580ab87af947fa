"""Asking a trained run: a toy run of the tiny model, with beams and with grounding."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.data.readers.toy import toy_dataset
from sprec.experiment.config import validate_settings
from sprec.experiment.reload import tuned_models
from sprec.experiment.session import Session
from sprec.llm.language_model import LanguageModel
from sprec.recommend import main
from sprec.records.run_record import RunRecord, StageEntry
from sprec.run import CONF
from sprec.training.ranking_stages import PREDICTIONS

SMALL = ["dataset=toy", "base_llm=tiny", "tracker=silent", "budget.sft_rows=128", "budget.iteration_rows=16"]
SMALL += ["method=random_negatives", "budget.test_rows=3", "budget.iterations=1", "trainer.threads=1"]
GROUNDED = ["ranking=grounded", "embeddings=ngrams", "budget.iterations=0"]
GUIDED = ["method=d3", "+ranking.collaborative.settings.epochs=1"]
TITLES = toy_dataset().catalog.titles


@pytest.fixture(scope="module")
def trained(sprec_home, tmp_path_factory):
    """Return a maker of finished runs; torch is left as it was found."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    def run(*overrides):
        folder = tmp_path_factory.mktemp("run")
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = OmegaConf.to_container(compose("config", [*SMALL, *overrides]), resolve=True)
        Session(validate_settings(config), folder, command="python -m sprec.run HERE").run()
        return folder

    yield run
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


@pytest.fixture(scope="module")
def beams(trained):
    return trained()


def ask(capsys, folder, *arguments):
    capsys.readouterr()  # what runs printed
    status = main(["--run", str(folder), *arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def refused(capsys, folder, *arguments):
    status, out, err = ask(capsys, folder, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    return err


def stored(home, folder):
    """Return the ranked titles and the written title of the first test row, by state."""
    stages = RunRecord.load(folder / "run.json").stages
    frames = {
        stage.label.removeprefix("evaluate "): pl.read_parquet(
            home / "stages" / "evaluate" / stage.key / PREDICTIONS
        )
        for stage in stages
        if stage.name == "evaluate"
    }
    return {
        label: ([TITLES[i] for i in frame["ranked"][0]], frame["written"][0])
        for label, frame in frames.items()
    }


def first_history(folder):
    """Return the titles of the first test row's history."""
    from sprec.experiment.reload import ReloadedRun

    dataset = ReloadedRun.from_record(RunRecord.load(folder / "run.json")).dataset
    return [TITLES[i] for i in dataset.split.test[0].history]


@pytest.mark.parametrize("options", [(), GROUNDED, GUIDED], ids=["beams", "grounded", "guided"])
def test_answers_are_those_that_the_run_itself_gave_for_this_history(trained, sprec_home, capsys, options):
    folder = trained(*options)
    expected = stored(sprec_home, folder)
    assert len(expected) == (1 if options else 2)
    status, out, _ = ask(capsys, folder, "--history", *first_history(folder), "--json")
    popular, *states = json.loads(out)["states"]
    assert status == 0
    assert popular["label"] == "most_popular"
    assert {s["label"]: ([title for title, _ in s["items"]], s["written"]) for s in states} == expected


def test_the_popular_titles_leave_out_the_history_where_the_run_does(trained, capsys):
    usual, without = (
        trained("budget.iterations=0", f"ranking.exclude_history={value}") for value in ("false", "true")
    )
    popular = [TITLES[item] for item in toy_dataset().most_popular(4)]
    history = [popular[0], *first_history(usual)[:2]]
    for folder, expected in ((usual, popular[:3]), (without, [t for t in popular if t not in history][:3])):
        _, out, _ = ask(capsys, folder, "--history", *history, "--k", "3", "--json")
        assert [title for title, _ in json.loads(out)["states"][0]["items"]][: len(expected)] == expected


def test_scores_are_counts_then_log_probabilities_best_first(beams, capsys):
    _, out, _ = ask(capsys, beams, "--history", *TITLES[:3], "--k", "4", "--json")
    popular, *states = json.loads(out)["states"]
    data = toy_dataset()
    counts = [int(data.popularity[data.catalog.find(title)]) for title, _ in popular["items"]]
    assert [score for _, score in popular["items"]] == counts == sorted(data.popularity)[::-1][:4]
    for state in states:
        scores = [score for _, score in state["items"]]
        assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-4)
        assert max(scores) < 0


def test_history_of_a_length_that_no_model_was_trained_on_is_said(beams, capsys):
    status, _, err = ask(capsys, beams, "--history", *TITLES[:3])
    assert (status, err.count("\n")) == (0, 1)
    assert "3 titles given; models were trained on histories of" in err
    assert ask(capsys, beams, "--history", *first_history(beams))[2] == ""


def test_of_a_long_history_the_last_titles_are_read(beams, capsys):
    history = first_history(beams)
    _, out, err = ask(capsys, beams, "--history", *TITLES[:5], *history, "--json")
    assert "are read" in err
    alone = ask(capsys, beams, "--history", *history, "--json")[1]
    assert json.loads(out)["states"] == json.loads(alone)["states"]


def test_grounded_scores_are_distances_to_the_written_title(trained, capsys):
    _, out, _ = ask(capsys, trained(*GROUNDED), "--history", TITLES[0], "--k", "60", "--json")
    scores = [score for _, score in json.loads(out)["states"][1]["items"]]
    assert len(scores) == 60
    assert scores == pytest.approx(sorted(scores), abs=1e-5)
    assert 0 <= scores[0] < scores[-1] <= 2


def test_tables_show_each_state_with_its_scores(beams, capsys):
    status, out, _ = ask(capsys, beams, "--history", *TITLES[:3], "--k", "2")
    assert status == 0
    heads = [
        line for line in out.splitlines() if line.startswith(("most popular", "initial SFT", "iteration 1"))
    ]
    assert len(heads) == 3
    assert heads[1].startswith('initial SFT writes "')
    assert "log-probability (nats)" in out


@pytest.mark.parametrize(
    ("history", "line"),
    [
        ([], "the history is empty"),
        ([" "], "the history is empty"),
        ([TITLES[0].lower()[:-1]], f"nearest: {TITLES[0]!r}"),
        (["xyzzy qq"], f"titles read like {TITLES[0]!r}"),
    ],
    ids=["none", "blank", "misspelled", "unlike"],
)
def test_history_that_names_no_item_is_one_line_with_the_remedy(beams, capsys, history, line):
    assert line in refused(capsys, beams, "--history", *history)


def test_every_unknown_title_is_named(beams, capsys):
    told = refused(capsys, beams, "--history", "one", TITLES[0], "two")
    assert "'one'" in told
    assert "'two'" in told


@pytest.mark.parametrize("k", ["0", "61"])
def test_list_that_the_catalogue_cannot_fill_is_refused(beams, capsys, k):
    assert f"--k {k} does not fit 60 items" in refused(capsys, beams, "--history", TITLES[0], "--k", k)


def test_folder_without_a_record_names_one_that_has_it(beams, capsys, tmp_path):
    assert f"{tmp_path} has no run.json" in refused(capsys, tmp_path, "--history", "x")
    assert "is no folder" in refused(capsys, tmp_path / "gone", "--history", "x")
    outer = tmp_path / "outer"
    (outer / "day").mkdir(parents=True)
    (outer / "day" / "run").symlink_to(beams)
    assert f"such as {outer / 'day' / 'run'}" in refused(capsys, outer, "--history", "x")


def test_model_that_is_not_stored_names_the_command_that_makes_it(beams, sprec_home, capsys):
    last = tuned_models(RunRecord.load(beams / "run.json"))[-1]
    place = sprec_home / "stages" / last.stage / last.key
    place.rename(place.with_suffix(".away"))
    told = refused(capsys, beams, "--history", TITLES[0])
    place.with_suffix(".away").rename(place)
    assert "iteration_1: the stage dpo is not stored at" in told
    assert ": python -m sprec.run HERE" in told


def test_a_model_that_has_diverged_is_one_line(beams, capsys, monkeypatch):
    def diverged(*_, **__):
        raise FloatingPointError("the model's logits are not finite: tuning has diverged; lower its rate")

    monkeypatch.setattr(LanguageModel, "prefill", diverged)
    assert "logits are not finite: tuning has diverged" in refused(capsys, beams, "--history", TITLES[0])


def test_data_that_changed_since_is_refused(beams, capsys, tmp_path):
    record = RunRecord.load(beams / "run.json")
    replace(record, dataset=replace(record.dataset, digest="0" * 64)).save(tmp_path / "run.json")
    assert "the dataset of the run was 000000000000" in refused(capsys, tmp_path, "--history", TITLES[0])


def test_configuration_of_another_sprec_names_what_does_not_fit(beams, capsys, tmp_path):
    record = RunRecord.load(beams / "run.json")
    config = {name: value for name, value in record.config.items() if name != "cutoffs"}
    replace(record, config={**config, "odd": 1}).save(tmp_path / "run.json")
    told = refused(capsys, tmp_path, "--history", TITLES[0])
    assert "does not fit this sprec (cutoffs, odd); use the one that made it" in told


def test_run_that_ranked_with_no_model_is_told_apart_from_one_without_an_llm(beams):
    record = replace(RunRecord.load(beams / "run.json"), stages=(), status="failed")
    with pytest.raises(
        ValueError, match="the run is failed and ranked with no model yet; go on with: python"
    ):
        tuned_models(record)
    stage = StageEntry("baseline", "sasrec", "0" * 32, 1.0, reused=False)
    with pytest.raises(ValueError, match="sasrec stores its lists and no model"):
        tuned_models(replace(record, method="sasrec", stages=(stage,)))


def test_wrong_folder_is_told_before_anything_heavy_loads(tmp_path):
    code = f"""
import sys
from sprec.recommend import main
assert main(["--run", {str(tmp_path)!r}, "--history", "x"]) == 2
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
