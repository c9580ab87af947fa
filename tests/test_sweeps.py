"""Sweeps: each job in the table whatever became of it, commands that write over nothing, a quiet terminal."""

import json
import re
import shlex

import pytest

from tests import commands

TOY = ["dataset=toy", "method=most_popular", "base_llm=tiny", "tracker=silent", "trainer.threads=1"]
TOY += ["trainer.device=cpu", "budget.test_rows=10", "budget.valid_rows=5"]


def sprec(home, *words, module="sprec.run", **how):
    return commands.run(module, words, {"SPREC_HOME": str(home)}, **how)


def records(folder):
    return {path.parent.name: path.read_bytes() for path in sorted(folder.glob("*/run.json"))}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return the store and the folder of a sweep over three seeds, and what it printed."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("sweep")
    return home, folder, sprec(home, *TOY, f"hydra.sweep.dir={folder}", "seed=0,1,2", "-m")


def test_each_job_says_its_place_and_what_it_chose(swept):
    _, _, done = swept
    firsts = [line.partition(" ")[2] for line in done.stderr.splitlines() if " job " in f" {line}"]
    assert [line.partition(";")[0] for line in firsts] == [f"job {n + 1} of 3: seed={n}" for n in range(3)]
    assert " so far, about " in firsts[1]


def test_jobs_print_a_few_lines_each(swept):
    _, _, done = swept
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) <= 8 * 3 + 14
    assert "all columns, and differences with intervals: python -m sprec.report" in done.stdout


def test_records_name_their_sweep(swept):
    _, folder, _ = swept
    sweeps = {json.loads(text)["sweep"] for text in records(folder).values()}
    assert len(sweeps) == 1
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{8}", sweeps.pop())


def test_a_second_sweep_in_the_folder_has_folders_and_a_table_of_its_own(swept):
    home, folder, _ = swept
    before = records(folder)
    done = sprec(home, *TOY, f"hydra.sweep.dir={folder}", "seed=7,8", "-m")
    after = records(folder)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"0-2", "1-2"}
    assert "seeds 7, 8" in done.stdout
    assert "seeds 0" not in done.stdout


def test_the_command_for_a_missing_cell_fills_it_and_writes_over_nothing(swept, tmp_path):
    home, folder, _ = swept
    one = next(path for path in folder.glob("*/run.json") if json.loads(path.read_text())["seed"] == 1)
    place = tmp_path / "sweep"
    for path in folder.glob("[012]/run.json"):
        if path != one:
            document = json.loads(path.read_text())
            text = json.dumps(document).replace(str(folder), str(place))
            (place / path.parent.name).mkdir(parents=True)
            (place / path.parent.name / "run.json").write_text(text)
    other = json.loads(next(place.glob("*/run.json")).read_text())
    (place / "9").mkdir()
    arm = {**other, "seed": 1, "config": {**other["config"], "seed": 1}, "method": "sasrec"}
    arm["config"]["method"] = {**arm["config"]["method"], "name": "sasrec"}
    (place / "9" / "run.json").write_text(json.dumps(arm))
    before = records(place)
    table = sprec(home, str(place), "--table", "ablation", module="sprec.report").stdout.replace("\\", "")
    command = re.search(r"no run with seed 1; to run it: (.*)", table)[1]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "sprec.run"]
    sprec(home, *words[3:])
    after = records(place)
    assert {name: after[name] for name in before} == before
    (new,) = set(after) - set(before)
    assert json.loads(after[new])["seed"] == 1


def test_jobs_that_failed_before_their_record_are_in_the_table_with_error_and_command(tmp_path):
    rows = [
        f"{user},{(user * 7 + time) % 30},{1_200_000_000 + time}" for user in range(40) for time in range(20)
    ]
    data = tmp_path / "data"
    data.mkdir()
    (data / "interactions.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    items = [f"{item},Title {item},A" for item in range(30)]
    (data / "items.csv").write_text("item,title,genres\n" + "\n".join(items) + "\n")
    words = ["dataset=custom", f"dataset.path={data}", "dataset.genres=[A]", *TOY[1:]]
    grid = ["dataset.history_min=2,50", "dataset.history_max=60", "seed=0,1", "-m"]
    folder = tmp_path / "sweep"
    done = sprec(tmp_path / "home", *words, f"hydra.sweep.dir={folder}", *grid, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    report = sprec(tmp_path / "home", str(folder), "--table", "main", module="sprec.report").stdout
    for text in (done.stdout, report.replace("\\", "")):
        notes = [line for line in text.splitlines() if "history_min=50" in line and "to run it again" in line]
        assert len(notes) == 2
        assert all(f"hydra.run.dir={folder}/" in note for note in notes)


def test_a_run_in_a_folder_with_a_record_is_refused_and_a_free_one_named(swept):
    home, folder, _ = swept
    before = (folder / "0" / "run.json").read_bytes()
    done = sprec(home, *TOY, "seed=5", f"hydra.run.dir={folder / '0'}", check=False)
    assert done.returncode == 1
    assert f"choose a free folder: hydra.run.dir={folder / '0'}-" in done.stderr
    assert (folder / "0" / "run.json").read_bytes() == before
