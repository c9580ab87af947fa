"""The whole way on the toy dataset with the tiny model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sprec.records.encoded_ids import decode_ids
from sprec.records.run_record import RunRecord
from sprec.report.labels import LABELS
from tests import commands

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
BASE = ["dataset=toy", "base_llm=tiny", "tracker=silent", "budget.sft_rows=512", "budget.iteration_rows=16"]
SMALL = [*BASE, "budget.test_rows=20", "budget.iterations=1", "trainer.threads=1"]


def sprec(home, folder, *overrides, module="sprec.run", **how):
    return commands.run(module, [*places(module, folder), *overrides], {"SPREC_HOME": str(home)}, **how)


def places(module, folder):
    return [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"] if module == "sprec.run" else []


def stopped(home, folder, label, signal_number, *overrides):
    """Run until the log names the stage, send the signal, and return all lines and the exit status."""
    arguments = [*places("sprec.run", folder), *overrides]
    log = folder / "run.log"
    log.unlink(missing_ok=True)
    with commands.started("sprec.run", arguments, {"SPREC_HOME": str(home)}) as (process, found):
        while process.is_alive():  # the job's file has the line that says when a stage begins
            if log.exists() and f" - {label}\n" in log.read_text():
                os.kill(process.pid, signal_number)
                break
            process.join(0.01)
        lines = found.readlines()
    return lines, process.exitcode


def killed(home, folder, label, *overrides):
    """Kill a run -9 in the stage and return the labels of stages that were done."""
    lines, status = stopped(home, folder, label, signal.SIGKILL, *overrides)
    assert status == -signal.SIGKILL, "".join(lines)[-2000:]
    log = (folder / "run.log").read_text().splitlines()
    return [line.split(" - ")[1].split(":")[0] for line in log if ": done, " in line]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("first")
    done = sprec(home, folder, *SMALL)
    return home, folder, done


def record(folder):
    return json.loads((Path(folder) / "run.json").read_text())


def test_run_ends_with_a_table_of_every_stage(first):
    _, folder, done = first
    assert "most popular" in done.stdout
    assert "iteration 1" in done.stdout
    labels = [each["label"] for each in record(folder)["evaluations"]]
    assert labels == ["most_popular", "initial_sft", "iteration_1"]
    assert {"hr@1", "ndcg@5", "div_ratio@1", "or_ratio@5", "mgu@1", "dgu@5", "off_catalog"} <= set(
        record(folder)["evaluations"][1]["scores"]
    )


def test_record_holds_the_lists_behind_its_scores(first):
    _, folder, _ = first
    found = RunRecord.load(folder / "run.json")
    target = decode_ids(found.targets, 1)[:, 0]
    assert len(target) == found.dataset.rows.test == 20
    for each in found.evaluations:
        lists = decode_ids(each.lists, 5)
        assert (lists == target[:, None]).any(axis=1).mean() == each.scores["hr@5"]
        assert {str(item) for item in lists.flat} | {str(item) for item in target} <= set(found.items)
        assert len(each.written) == (0 if each.iteration is None else 20)
    assert [each.row for each in found.sampled_users] == list(range(20))
    assert {str(item) for each in found.sampled_users for item in each.history} <= set(found.items)
    assert sum(found.history_genres.values()) == pytest.approx(1)
    assert set(found.curves) == {"initial sft", "sft 1", "dpo 1"}
    shared = {"loss", "grad_norm", "learning_rate", "clipped_share"}
    assert set(found.curves["sft 1"]) == shared
    pairs = {f"logps/{side}" for side in ("chosen", "rejected")}
    pairs |= {f"rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")}
    assert set(found.curves["dpo 1"]) == shared | pairs


def test_second_run_reuses_every_stage(first, tmp_path):
    home, folder, _ = first
    sprec(home, tmp_path, *SMALL)
    assert all(stage["reused"] for stage in record(tmp_path)["stages"])
    assert record(tmp_path)["evaluations"] == record(folder)["evaluations"]


def test_stored_run_imports_neither_torch_nor_transformers(first, tmp_path):
    home, _, _ = first
    libraries = "{'torch._C', 'transformers.utils'}"
    code = f"import sys; from sprec import run; run.main(); print({libraries} & {{*sys.modules}})"
    arguments = [*places("sprec.run", tmp_path), *SMALL]
    environment = {**os.environ, "SPREC_HOME": str(home)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=True)
    assert all(stage["reused"] for stage in record(tmp_path)["stages"])
    assert done.stdout.splitlines()[-1] == "set()"


def test_same_command_on_an_empty_store_gives_identical_predictions(first, tmp_path):
    home, folder, _ = first
    # Fresh: libraries are imported, and set up, when something is first computed.
    sprec(tmp_path / "home", tmp_path / "out", *SMALL, fresh=True)
    assert record(tmp_path / "out")["evaluations"] == record(folder)["evaluations"]
    for path in home.glob("stages/evaluate/*/predictions.parquet"):
        twin = tmp_path / "home" / path.relative_to(home)
        assert twin.read_bytes() == path.read_bytes()


@pytest.mark.long
def test_stage_killed_in_its_middle_starts_again_and_finished_stages_do_not(first, tmp_path):
    _, folder, _ = first
    done = []
    for label in (
        "initial sft",
        "titles initial_sft",
        "evaluate initial_sft",
        "sft 1",
        "negatives 1",
        "dpo 1",
    ):
        before = killed(tmp_path / "home", tmp_path / "out", label, *SMALL)
        assert label not in before
        done += before
    sprec(tmp_path / "home", tmp_path / "out", *SMALL)
    stages = record(tmp_path / "out")["stages"]
    done += [stage["label"] for stage in stages if not stage["reused"]]
    assert sorted(done) == sorted(stage["label"] for stage in stages)
    assert record(tmp_path / "out")["evaluations"] == record(folder)["evaluations"]


@pytest.mark.parametrize(("ending", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_run_told_to_end_does_so_cleanly_and_says_how_to_go_on(tmp_path, ending, expected):
    lines, status = stopped(tmp_path / "home", tmp_path / "out", "initial sft", ending, *SMALL)
    assert status == expected
    assert lines[-1].startswith(f"ended by {ending.name}: finished stages are stored")
    assert record(tmp_path / "out")["status"] == "failed"
    assert record(tmp_path / "out")["error"].endswith(f"ended by {ending.name}")


def test_help_names_groups_and_examples(tmp_path):
    text = sprec(tmp_path, tmp_path, "--help").stdout
    assert "method: cft, d3, dmpo," in text
    assert "negatives  where rejected titles come from" in text
    assert text.count("python -m sprec.run dataset=") == 5


def test_plan_names_stages_and_computes_nothing(first, tmp_path):
    home, _, _ = first
    done = sprec(home, tmp_path, *SMALL, "budget.iterations=2", "+plan=true")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("stored", "to run"))]
    assert [line[:6] for line in lines].count("to run") == 5
    assert not (tmp_path / "run.json").exists()


@pytest.mark.long
def test_ablation_shares_stages_reports_every_arm_and_equals_each_arm_run_alone(first, tmp_path):
    home, _, _ = first
    sweep = ["+sweep=ablation", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "-m"]
    sprec(home, tmp_path, *SMALL, *sweep, fresh=True)
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/run.json"))]
    assert {run["method"] for run in found} == {"sprec", "without_sft", "without_dpo", "random_negatives"}
    assert len({run["stages"][0]["key"] for run in found}) == 1
    computed = [s["key"] for run in found for s in run["stages"] if not s["reused"]]
    assert len(computed) == len(set(computed))
    alone = tmp_path / "alone"
    sprec(tmp_path / "home", alone, *SMALL, "method=random_negatives")
    together = next(run for run in found if run["method"] == "random_negatives")
    assert record(alone)["evaluations"] == together["evaluations"]
    assert [stage["key"] for stage in record(alone)["stages"]] == [s["key"] for s in together["stages"]]
    table = sprec(home, tmp_path, str(tmp_path), "--table", "ablation", module="sprec.report").stdout
    assert all(LABELS.method(run["method"]) in table for run in found)


def test_changed_number_of_test_rows_trains_nothing_again(first, tmp_path):
    home, _, _ = first
    sprec(home, tmp_path, *SMALL, "budget.test_rows=10", "budget.valid_rows=7")
    stages = {stage["label"]: stage["reused"] for stage in record(tmp_path)["stages"]}
    lists = {f"{step} {model}" for step in ("titles", "evaluate") for model in ("initial_sft", "iteration_1")}
    assert {label for label, reused in stages.items() if not reused} == lists


def test_baseline_is_computed_once_for_all_processes(first, tmp_path):
    home, _, _ = first
    keys = []
    for name in ("one", "two"):
        sprec(home, tmp_path / name, *SMALL, "method=gru4rec")
        (stage,) = record(tmp_path / name)["stages"]
        keys.append((stage["key"], stage["reused"]))
    assert keys == [(keys[0][0], False), (keys[0][0], True)]


def test_failed_job_leaves_its_trace_for_who_looks_for_a_bug(tmp_path):
    sprec(tmp_path / "home", tmp_path / "out", *SMALL, "trainer.device=cuda", check=False)
    assert "Traceback" in (tmp_path / "out" / "traceback.txt").read_text()


def test_mistyped_key_fails_with_its_name(tmp_path):
    done = sprec(tmp_path, tmp_path, "budget.sft_row=3", check=False)
    assert done.returncode == 1
    assert "sft_row" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_two_sweeps_in_one_command_are_refused(tmp_path):
    done = sprec(tmp_path, tmp_path, "+sweep=ablation,ablation", "-m", check=False)
    assert done.returncode == 1
    assert "one command runs one sweep" in done.stderr


def test_unknown_device_is_one_line(tmp_path):
    done = sprec(tmp_path, tmp_path, *SMALL, "trainer.device=cuda", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "error: trainer.device=cuda: no CUDA device here; use trainer.device=cpu"


@pytest.mark.long
@pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED}")
def test_released_rows_run_to_a_table_with_beams_and_sampled_self_play(tmp_path):
    options = ["dataset=released", f"dataset.path={SHARED / 'movielens'}", "ranking=beam", "decoding=sampled"]
    done = sprec(tmp_path / "home", tmp_path / "out", *SMALL, *options)
    assert "iteration 1" in done.stdout
    found = record(tmp_path / "out")
    assert found["evaluations"][1]["ranking"] == "beam"
    assert found["negatives"] == "SelfPlay Sampled"


def test_dataset_without_its_folder_names_the_key(tmp_path):
    done = sprec(tmp_path, tmp_path, "dataset=released", "base_llm=tiny", check=False)
    assert done.returncode == 1
    assert "dataset.path=DIR" in done.stderr


def test_output_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = sprec(tmp_path / "home", tmp_path / "file" / "out", *SMALL, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stderr


@pytest.mark.long
def test_real_run_of_smollm2_on_a_few_rows_of_movielens_100k(tmp_path):
    few = ["budget.sft_rows=4", "budget.iteration_rows=2", "budget.test_rows=2", "budget.iterations=1"]
    options = ["dataset=movielens", "tracker=silent", "trainer.threads=1", *few]
    sprec(tmp_path / "home", tmp_path / "out", *options)
    found = record(tmp_path / "out")
    assert found["status"] == "finished"
    assert found["dataset"]["items"] == 1663
    assert found["dataset"]["rows"]["train"] == 72_448
    assert [each["label"] for each in found["evaluations"]] == ["most_popular", "initial_sft", "iteration_1"]


@pytest.mark.parametrize(
    "method", ["most_popular", "sasrec", "rw", pytest.param("sdpo", marks=pytest.mark.long)]
)
def test_methods_run_to_a_row_of_the_table(first, tmp_path, method):
    home, _, _ = first
    options = [f"method={method}", "negatives=popular", "+experiment=released"] if method == "sdpo" else []
    done = sprec(home, tmp_path, *SMALL, *(options or [f"method={method}"]))
    found = record(tmp_path)
    assert found["status"] == "finished"
    assert found["evaluations"][-1]["iteration"] == (1 if method == "sdpo" else 0)
    assert ("S-DPO, popular, count=3" in done.stdout) == (method == "sdpo")


@pytest.mark.long
def test_cft_and_d3_share_their_assistant_and_d3_the_initial_sft_of_the_others(first, tmp_path):
    home, folder, _ = first
    quick = ["+ranking.collaborative.settings.epochs=1"]
    sprec(home, tmp_path / "cft", *SMALL, "method=cft", *quick)
    sprec(home, tmp_path / "d3", *SMALL, "method=d3", *quick)
    cft, d3 = record(tmp_path / "cft"), record(tmp_path / "d3")
    lists = ["titles initial_sft", "evaluate initial_sft"]
    assert [stage["label"] for stage in d3["stages"]] == ["assistant", "initial sft", *lists]
    assert [stage["reused"] for stage in d3["stages"]] == [True, True, True, False]
    assert d3["stages"][1]["key"] == record(folder)["stages"][0]["key"] != cft["stages"][1]["key"]
    assert d3["evaluations"][-1]["ranking"] == cft["evaluations"][-1]["ranking"] == "guided"


def test_unseeded_run_shares_the_initial_sft_alone_and_its_recorded_seed_repeats_it(first, tmp_path):
    home, seeded, _ = first
    sprec(home, tmp_path / "one", *SMALL, "rows_seed=entropy")
    number = record(tmp_path / "one")["config"]["rows_seed_drawn"]
    reused = {stage["label"]: stage["reused"] for stage in record(tmp_path / "one")["stages"]}
    initial = {"initial sft", "titles initial_sft", "evaluate initial_sft"}
    assert {label for label, stored in reused.items() if stored} == initial
    sprec(home, tmp_path / "two", *SMALL, f"rows_seed={number}")
    assert all(stage["reused"] for stage in record(tmp_path / "two")["stages"])
    assert "rows_seed_drawn" not in record(seeded)["config"]


def test_prompts_and_formats_that_cannot_be_had_are_one_line(first, tmp_path):
    home, _, _ = first
    done = sprec(home, tmp_path / "chat", *SMALL, "prompt=chat", check=False)
    assert "base_llm=tiny has no chat template; use prompt=alpaca" in done.stderr.splitlines()[-1]
    done = sprec(home, tmp_path / "nf4", *SMALL, "base_llm.quantise=nf4", check=False)
    assert "error: base_llm.quantise=nf4 needs a CUDA device" in done.stderr.splitlines()[-1]


def test_no_secret_of_the_command_line_reaches_a_file(tmp_path):
    secret = 'group="https://me:sesame@host/api_key=sesame"'
    words = [*BASE, "method=most_popular", secret, "trainer.threads=1"]
    done = sprec(tmp_path / "home", tmp_path / "run", *words)
    # One of the jobs fails, since Hydra prints the words of such a job.
    swept = sprec(
        tmp_path / "home", tmp_path / "sweep", *words, "trainer.device=cpu,cuda:99", "-m", check=False
    )
    assert "CUDA device" in swept.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"overrides.yaml", "multirun.yaml", "run.json"} <= {path.name for path in files}
    assert not [path for path in files if b"sesame" in path.read_bytes()]
    assert "sesame" not in done.stdout + done.stderr + swept.stdout + swept.stderr
