import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sprec.records.run_record import DatasetEntry, RowCounts
from sprec.report.__main__ import main
from tests.report.random_lists import ranked, targets, with_lists

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(make, tmp_path):
    for number, record in enumerate((make(), make(seed=1), make("dpo"))):
        record.save(tmp_path / "multirun" / str(number) / "run.json")
    return tmp_path / "multirun"


def report(capsys, *arguments):
    status = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_folder_is_searched_for_runs_and_each_gets_a_table(capsys, folder):
    status, out, err = report(capsys, folder)
    assert (status, err) == (0, "")
    assert out.count("| iteration 1 | 1000 |") == 3
    assert out.count("N 1000; seeds") == 3


def test_ablation_is_one_table_of_all_runs(capsys, folder):
    _, out, _ = report(capsys, folder / "0", folder / "1" / "run.json", folder / "2", "--table", "ablation")
    assert out.splitlines()[0] == "**Ablation of SPRec on movie\\_lens with SmolLM2-135M-Instruct**"
    assert "| SPRec | Self-play | 2 | 1000 | 0.0200 |" in out
    assert "| DPO | Self-play | 1 | 1000 | 0.0200 |" in out


def test_default_places_are_searched(capsys, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert report(capsys, "--format", "csv")[1].count("# N 1000; seeds") == 3


def test_output_goes_to_a_file(capsys, folder, tmp_path):
    target = tmp_path / "table.tex"
    assert report(capsys, folder, "--table", "ablation", "--format", "latex", "--output", target) == (
        0,
        "",
        "",
    )
    assert target.read_text(encoding="utf-8").startswith("\\begin{table*}[t]\n")


def test_runs_of_several_datasets_get_a_table_each_and_a_line(capsys, folder, make):
    other = DatasetEntry("goodreads", "00", 4, RowCounts(3, 2, 1))
    make(dataset=other).save(folder / "3" / "run.json")
    status, out, err = report(capsys, folder, "--table", "ablation")
    assert (status, out.count("**Ablation of SPRec on")) == (0, 2)
    assert err.startswith("sprec.report: these runs are not one comparison but 2")


def test_a_latex_document_of_several_settings_has_each_label_once(capsys, folder, make):
    other = DatasetEntry("goodreads", "00", 4, RowCounts(3, 2, 1))
    make(dataset=other).save(folder / "3" / "run.json")
    _, out, _ = report(capsys, folder, "--table", "ablation", "--format", "latex")
    labels = [line for line in out.splitlines() if line.startswith("\\label")]
    assert labels == [r"\label{tab:ablation}", r"\label{tab:ablation-2}"]


def test_no_run_gets_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = (
        "sprec.report: no run.json below multirun, outputs; run something first, or name other folders\n"
    )
    assert report(capsys) == (2, "", expected)
    assert report(capsys, tmp_path)[0] == 2


def test_path_that_does_not_exist_gets_one_line(capsys, tmp_path):
    status, out, err = report(capsys, tmp_path / "nowhere")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "nowhere does not exist" in err


@pytest.mark.parametrize("content", ['{"schema": 1, "stat', "[]", '{"schema": 1}', '{"schema": 99}'])
def test_broken_record_is_a_note_beside_others_and_an_error_alone(capsys, folder, content):
    broken = folder / "1" / "run.json"
    broken.write_text(content)
    status, out, err = report(capsys, folder)
    assert (status, err) == (0, "")
    assert out.count("| iteration 1 | 1000 |") == 2
    assert f"left out: {broken}" in out.replace("\\", "")
    status, out, err = report(capsys, broken)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(broken) in err
    status, out, err = report(capsys, "figures", folder, "--output", folder / "figures")
    assert status == 0
    assert f"left out: {broken}" in err


def test_output_that_cannot_be_written_gets_one_line(capsys, folder):
    status, _, err = report(capsys, folder, "--output", folder / "none" / "table.md")
    assert (status, err.count("\n")) == (2, 1)
    assert "table.md" in err


def test_names_of_scores_hold_their_list_lengths_so_both_are_refused(capsys, real):
    with pytest.raises(SystemExit) as refused:
        report(capsys, real, "--k", 5, "--columns", "HR@1")
    assert refused.value.code == 2
    assert "--columns: not allowed with argument --k" in capsys.readouterr().err


def test_report_without_lists_is_light(folder):
    code = (
        "import sys, json; from sprec.report.__main__ import main; main(sys.argv[1:]); "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-c", code, str(folder), "--table", "ablation"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=REPOSITORY)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {"torch", "transformers", "hydra", "polars", "rich"} & loaded


@pytest.fixture
def real(make, tmp_path):
    """Two arms at two seeds, with lists: `sprec` recommends popular items less than the initial SFT."""
    target = targets()
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        sft = ranked(rng, 200, skew=1.4, target=target, hits=0.05)
        for method, skew in (("sprec", 0.8), ("without_sft", 1.4)):
            last = ranked(rng, 200, skew=skew, target=target, hits=0.05)
            sets = [("initial_sft", 0, sft), ("iteration_1", 1, last)]
            record = with_lists(make(method, seed=seed), sets)
            record.save(tmp_path / "real" / f"{method}-{seed}" / "run.json")
    return tmp_path / "real"


def test_differences_are_tested_where_records_hold_lists(capsys, real):
    _, out, err = report(capsys, real, "--table", "ablation", "--against", "initial SFT", "--k", 5)
    assert err == ""
    scores, differences = out.split("**Ablation of SPRec on ")[1:]
    div = [line.split("|")[7].strip() for line in scores.splitlines() if line.startswith("| ")][2:]
    assert div[1].startswith("**0.")
    assert [cell.count("*") for cell in div] == [0, 4, 0]
    assert "Holm-corrected over 12 comparisons" in scores
    assert "seeds are few: marks describe these trained models" in scores
    assert "difference to initial SFT" in differences
    rows = [line for line in differences.splitlines() if line.startswith("| ")][2:]
    assert [row.split("|")[1].strip() for row in rows] == ["SPRec", "without SFT"]
    assert [row.split("|")[5].count("\\*") for row in rows] == [1, 0]


def test_every_format_is_written(capsys, real):
    for name, sign in {
        "md": "| ---",
        "csv": "HR@5 low",
        "latex": "\\cmidrule",
        "html": "<!doctype html>",
    }.items():
        assert sign in report(capsys, real, "--table", "ablation", "--format", name)[1]


def test_tests_can_be_left_out_and_best_be_plain(capsys, real):
    _, out, _ = report(capsys, real, "--table", "ablation", "--tests", "off")
    assert ("difference to" in out, "**0." in out) == (False, False)
    assert "**0." in report(capsys, real, "--table", "ablation", "--tests", "off", "--best", "plain")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--against", "sprek"],
            "--against 'sprek' is no row of this table; take one of initial SFT, SPRec ×",
        ),
        (["--k", 20], "--k 20: no run was scored at this list length; there is 1, 5"),
        (["--reference", "none.toml"], "none.toml is no reference file: No such file or directory"),
        (
            ["--explain", "sprec,hr@5", "--k", 9, "--against", "foo", "--rename", "none.toml"],
            "--against, --k, --rename: of no effect beside --explain; leave out",
        ),
        (["--explain", "ndcg@5"], "--explain 'ndcg@5' is no cell; write ROW,SCORE such as 'sprec,ndcg@5'"),
    ],
)
def test_wrong_option_gets_one_line_with_what_there_is(capsys, real, options, message):
    status, out, err = report(capsys, real, "--table", "ablation", *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_seed_that_was_run_twice_is_an_error_by_option(capsys, folder, make):
    make(started="2025-01-01T00:00:00+00:00").save(folder / "old" / "run.json")
    assert "1 older finished run(s)" in report(capsys, folder, "--table", "ablation")[1]
    status, out, err = report(capsys, folder, "--table", "ablation", "--duplicates", "error")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"seed 0 was run twice: {folder / 'old' / 'run.json'} and {folder / '0' / 'run.json'}" in err


def test_main_table_shows_what_others_report_where_that_is_asked_for(capsys, folder, make, tmp_path):
    data = DatasetEntry("steam", "00", 4, RowCounts(3, 2, 1))
    make(dataset=data).save(tmp_path / "steam" / "run.json")
    assert "Reported by others" not in report(capsys, tmp_path / "steam", "--table", "main")[1]
    _, out, _ = report(capsys, tmp_path / "steam", "--table", "main", "--reference")
    assert "| *Reported by others* |" in out
    assert "| SPRec, Llama-3.2-1B-Instruct | .016 | – |" in out
    typed = tmp_path / "paper.toml"
    typed.write_text(
        'rows = [{dataset = "steam", model = "SPRec", base_llm = "x", n = 7, runs = 1, '
        'source = "paper, table 2, page 7", scores = {"hr@5" = 0.5}}]'
    )
    _, out, _ = report(capsys, tmp_path / "steam", "--table", "main", "--reference", typed)
    assert "| SPRec, x | .500 | – |" in out
    assert "not tested: paper, table 2, page 7" in out


def test_schema_1_makes_a_table_without_tests(capsys, folder):
    for path in folder.glob("*/run.json"):
        document = json.loads(path.read_text())
        for name in ("targets", "tracker", "items", "history_genres", "sampled_users", "curves"):
            del document[name]
        for each in document["evaluations"]:
            del each["lists"], each["written"]
        path.write_text(json.dumps(document | {"schema": 1}))
    status, out, _ = report(capsys, folder, "--table", "ablation")
    assert status == 0
    assert "| SPRec | Self-play | 2 | 1000 | 0.0200 |" in out
    assert "No intervals and tests: no two rows have lists" in out


def test_reading_page_or_dashboard_goes_to_their_own_options(monkeypatch):
    asked = []
    module = type("Module", (), {"main": staticmethod(lambda arguments: asked.append(arguments) or 0)})
    monkeypatch.setattr("sprec.report.__main__.import_module", lambda name: asked.append(name) or module)
    assert main(["page", "x", "--output", "y"]) == 0
    assert asked == ["sprec.report.page.render", ["x", "--output", "y"]]


def test_a_run_without_scores_has_no_main_table_and_one_line_says_so(capsys, make, tmp_path):
    make(status="failed", error="boom", evaluations=()).save(tmp_path / "0" / "run.json")
    assert main([str(tmp_path), "--table", "main"]) == 2
    assert "no run here has scores yet" in capsys.readouterr().err


def test_a_folder_named_in_two_ways_counts_once(capsys, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert main([folder.name, str(folder), "--table", "ablation", "--duplicates", "error"]) == 0


def test_options_that_a_table_of_one_run_has_no_use_for_are_named(capsys, folder):
    status, _, err = report(capsys, folder, "--transpose", "--tests", "off")
    assert (status, err) == (
        0,
        "sprec.report: --transpose, --tests: of no effect on tables of single runs; see --table\n",
    )
