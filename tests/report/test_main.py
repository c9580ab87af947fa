import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sprec.report.__main__ import main
from sprec.runtime.records import DatasetEntry, Rows

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(make, tmp_path):
    for number, record in enumerate((make(), make(seed=1), make("dpo"))):
        record.save(tmp_path / "multirun" / str(number) / "run.json")
    return tmp_path / "multirun"


def said(capsys, *arguments):
    status = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_folder_is_searched_for_runs_and_each_gets_a_table(capsys, folder):
    status, out, err = said(capsys, folder)
    assert (status, err) == (0, "")
    assert out.count("| iteration 1 | 1000 |") == 3
    assert out.count("N 1000; seeds") == 3


def test_ablation_is_one_table_of_all_runs(capsys, folder):
    _, out, _ = said(capsys, folder / "0", folder / "1" / "run.json", folder / "2", "--table", "ablation")
    assert out.splitlines()[0] == "**Ablation on movie\\_lens with smollm2\\_135m**"
    assert "| sprec | self\\_play | 2 | 1000 | 0.0200 ± 0.0000 |" in out
    assert "| dpo | self\\_play | 1 | 1000 | 0.0200 |" in out


def test_default_places_are_searched(capsys, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert said(capsys, "--format", "csv")[1].count("# N 1000; seeds") == 3


def test_output_goes_to_a_file(capsys, folder, tmp_path):
    target = tmp_path / "table.tex"
    assert said(capsys, folder, "--table", "ablation", "--format", "latex", "--output", target) == (0, "", "")
    assert target.read_text(encoding="utf-8").endswith("\\end{table}\n")


def test_runs_of_several_datasets_get_a_table_each_and_a_line(capsys, folder, make):
    other = DatasetEntry("goodreads", "00", 4, Rows(3, 2, 1))
    make(dataset=other).save(folder / "3" / "run.json")
    status, out, err = said(capsys, folder, "--table", "ablation")
    assert (status, out.count("**Ablation on")) == (0, 2)
    assert err.startswith("sprec.report: these runs are not one comparison but 2")


def test_no_run_gets_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = (
        "sprec.report: no run.json below multirun, outputs; run something first, or name other folders\n"
    )
    assert said(capsys) == (2, "", expected)
    assert said(capsys, tmp_path)[0] == 2


def test_path_that_does_not_exist_gets_one_line(capsys, tmp_path):
    status, out, err = said(capsys, tmp_path / "nowhere")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "nowhere does not exist" in err


@pytest.mark.parametrize("content", ['{"schema": 1, "stat', "[]", '{"schema": 1}', '{"schema": 99}'])
def test_broken_record_gets_one_line_that_names_it(capsys, folder, content):
    (folder / "1" / "run.json").write_text(content)
    status, out, err = said(capsys, folder)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(folder / "1" / "run.json") in err


def test_output_that_cannot_be_written_gets_one_line(capsys, folder):
    status, _, err = said(capsys, folder, "--output", folder / "none" / "table.md")
    assert (status, err.count("\n")) == (2, 1)
    assert "table.md" in err


def test_report_is_light_and_quick(folder):
    code = (
        "import sys, json; from sprec.report.__main__ import main; main(sys.argv[1:]); "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", code, str(folder), "--table", "ablation"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=REPOSITORY)
    seconds = time.perf_counter() - started
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {"torch", "transformers", "hydra", "numpy", "polars", "rich"} & loaded
    assert seconds < 1
