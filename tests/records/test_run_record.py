"""`run.json`: what is saved comes back, whole; what is broken says so in one line."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from sprec.records.record_search import find_records
from sprec.records.recorded_items import RecordedItem
from sprec.records.run_record import (
    DatasetEntry,
    Evaluation,
    RecordError,
    RowCounts,
    RunRecord,
    SampledUser,
    StageEntry,
    WeightsEntry,
)

RECORD = RunRecord(
    command="sprec dataset=toy",
    started="2025-01-02T03:04:05+00:00",
    config={
        "seed": 7,
        "method": {"name": "sprec", "accumulate_pairs": False, "beta": 0.1, "arms": ["a", None]},
    },
    seed=7,
    commit="c0ffee",
    dirty=False,
    versions={"torch": "2.6.0"},
    threads=2,
    device="cpu",
    precision="bf16",
    dataset=DatasetEntry("toy", "d1", 30, RowCounts(100, 10, 20)),
    weights=WeightsEntry("tiny", "w1"),
    method="sprec",
    negatives="self_play",
)
ORIGIN = {"commit": "c0", "dirty": True, "code": "c0de", "versions": {"torch": "2.5"}, "other_code": False}
STAGE = StageEntry("sft", "SFT, iteration 1", "k1", 1.5, False, **ORIGIN)
EVALUATION = Evaluation(
    *("SPRec", 1, 20, 19, {"hr@1": 0.25, "ndcg@5": 0.5}, "grounded", "test"), lists="eJxj", written=("Heat",)
)

DOCUMENT = {
    "schema": 3,
    "sweep": "",
    "status": "running",
    "command": "sprec dataset=toy",
    "started": "2025-01-02T03:04:05+00:00",
    "finished": None,
    "error": None,
    "config": {
        "seed": 7,
        "method": {"name": "sprec", "accumulate_pairs": False, "beta": 0.1, "arms": ["a", None]},
    },
    "seed": 7,
    "commit": "c0ffee",
    "dirty": False,
    "versions": {"torch": "2.6.0"},
    "threads": 2,
    "device": "cpu",
    "precision": "bf16",
    "dataset": {
        "name": "toy",
        "digest": "d1",
        "items": 30,
        "rows": {"train": 100, "valid": 10, "test": 20},
    },
    "weights": {"name": "tiny", "digest": "w1"},
    "engine": {},
    "method": "sprec",
    "negatives": "self_play",
    "stages": [
        {"name": "sft", "label": "SFT, iteration 1", "key": "k1", "seconds": 1.5, "reused": False} | ORIGIN
    ],
    "drops": {"DPO, iteration 1": {"no title": 3, "equal to target": 1}},
    "evaluations": [
        {
            "label": "SPRec",
            "iteration": 1,
            "n": 20,
            "n_in_catalog": 19,
            "scores": {"hr@1": 0.25, "ndcg@5": 0.5},
            "ranking": "grounded",
            "split": "test",
            "lists": "eJxj",
            "written": ["Heat"],
        }
    ],
    "targets": "eJxk",
    "items": {
        "ids": [1, 3],
        "titles": ["Ran (1985)", "Heat (1995)"],
        "popularity": [4, 5],
        "genres": [0, 1],
        "genre_sets": [[], ["Crime"]],
    },
    "history_genres": {"Crime": 0.75, "War": 0.25},
    "sampled_users": [{"row": 4, "history": [3, 1], "target": 3}],
    "curves": {"dpo 1": {"loss": [0.7, 0.5], "margin": [0.0, 1.0]}},
    "tracker": "https://wandb.ai/x/y",
}
ADDED = ("targets", "items", "history_genres", "sampled_users", "curves", "tracker")


@pytest.fixture
def full():
    drops = {"no title": 3, "equal to target": 1}
    done = RECORD.with_stage(STAGE).with_evaluation(EVALUATION).with_drops("DPO, iteration 1", drops)
    return replace(
        done.with_curve("dpo 1", {"loss": (0.7, 0.5), "margin": (0.0, 1.0)}),
        targets="eJxk",
        items={"3": RecordedItem("Heat (1995)", ("Crime",), 5), "1": RecordedItem("Ran (1985)", (), 4)},
        history_genres={"Crime": 0.75, "War": 0.25},
        sampled_users=(SampledUser(4, (3, 1), 3),),
        tracker="https://wandb.ai/x/y",
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "run.json"


def write(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(DOCUMENT | changes))
    return path


def test_the_document_is_schema_3(full, path):
    full.save(path)
    assert json.loads(path.read_text()) == DOCUMENT


def test_what_is_saved_comes_back(full, path):
    full.save(path)
    assert RunRecord.load(path) == full


def test_schema_1_is_read_and_its_missing_parts_are_empty(path):
    evaluations = [{k: v for k, v in DOCUMENT["evaluations"][0].items() if k not in ("lists", "written")}]
    old = {name: value for name, value in DOCUMENT.items() if name not in ADDED}
    write(path).write_text(json.dumps(old | {"schema": 1, "evaluations": evaluations}))
    record = RunRecord.load(path)
    assert (record.schema, record.evaluations[0].scores) == (3, EVALUATION.scores)
    assert (record.evaluations[0].lists, record.evaluations[0].written) == ("", ())
    assert [getattr(record, name) for name in ADDED] == ["", {}, {}, (), {}, ""]
    record.save(path)
    assert json.loads(path.read_text())["schema"] == 3


def test_schema_2_is_read_under_the_present_names(full, path):
    old = dict(DOCUMENT)
    old["shown"] = old.pop("sampled_users")
    old["config"] = {**DOCUMENT["config"], "tracker": {"_target_": "sprec.runtime.tracking.Silent"}}
    write(path).write_text(json.dumps(old | {"schema": 2}))
    record = RunRecord.load(path)
    assert record.sampled_users == full.sampled_users
    assert record.config["tracker"] == {"_target_": "sprec.records.tracking.Silent"}


def test_a_stage_of_an_older_record_has_no_known_maker(path):
    entry = {name: value for name, value in DOCUMENT["stages"][0].items() if name not in ORIGIN}
    record = RunRecord.load(write(path, stages=[entry]))
    assert record.stages == (StageEntry("sft", "SFT, iteration 1", "k1", 1.5, False),)
    assert record.foreign_origin(record.stages[0]) == ""


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({}, "commit c0 (dirty), torch 2.5"),
        ({"commit": "c0ffee", "dirty": False}, "torch 2.5"),
        ({"commit": "c0ffee", "dirty": False, "versions": {"torch": "2.6.0", "peft": "1"}}, ""),
        ({"commit": None, "versions": {}, "other_code": True}, "other code, commit unknown (dirty)"),
    ],
)
def test_who_made_a_stage_is_said_where_it_is_not_the_run_itself(changes, origin):
    assert RECORD.foreign_origin(replace(STAGE, **changes)) == origin


def test_broken_schema_1_is_named_too(path):
    with pytest.raises(RecordError, match="field 'evaluations' must be a list"):
        RunRecord.load(write(path, schema=1, evaluations=7))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"ids": [3]}, r"field 'items\.titles' is missing"),
        (DOCUMENT["items"] | {"ids": [3]}, "field 'items' has columns of different lengths"),
        (DOCUMENT["items"] | {"genres": [0, 2]}, r"field 'items\.genres' names a set that is not in"),
        (DOCUMENT["items"] | {"titles": ["Ran", 3]}, r"field 'items\.titles\[1\]' is 3, not str"),
        (7, "field 'items' must be an object"),
    ],
)
def test_broken_items_are_named(path, items, message):
    with pytest.raises(RecordError, match=message):
        RunRecord.load(write(path, items=items))


def test_bulky_parts_take_one_line_each(full, path):
    full.save(path)
    lines = path.read_text().splitlines()
    assert [line.split(":")[0].strip() for line in lines if len(line) > 65] == ['"curves"', '"items"']


def test_equal_records_are_equal_bytes(full, path):
    full.save(path)
    first = path.read_bytes()
    replace(full, config=dict(reversed(full.config.items()))).save(path)
    assert path.read_bytes() == first
    assert first.endswith(b"}\n")


def test_growing_a_record_leaves_the_old_one_alone(full):
    assert RECORD.stages == RECORD.evaluations == ()
    assert RECORD.drops == {}
    assert full.with_stage(STAGE).stages == (STAGE, STAGE)
    assert full.with_drops("SFT", {}).drops == {**full.drops, "SFT": {}}


def test_a_run_ends_well_or_badly():
    ended, failed = RECORD.as_finished(), RECORD.as_failed("ValueError: no titles")
    assert (ended.status, ended.error) == ("finished", None)
    assert (failed.status, failed.error) == ("failed", "ValueError: no titles")
    assert datetime.fromisoformat(ended.finished) > datetime.fromisoformat(RECORD.started)


def test_an_undefined_score_is_null_in_the_file_and_nan_here(path):
    RECORD.with_evaluation(replace(EVALUATION, scores={"mgu@1": math.nan})).save(path)
    assert json.loads(path.read_text())["evaluations"][0]["scores"] == {"mgu@1": None}
    assert math.isnan(RunRecord.load(path).evaluations[0].scores["mgu@1"])


@pytest.mark.parametrize("value", [math.inf, {1, 2}, Path("x")], ids=["infinite", "set", "path"])
def test_a_configuration_that_json_cannot_hold_is_refused(path, value):
    with pytest.raises(RecordError, match=r"run\.json cannot be written: .*; use plain finite values"):
        replace(RECORD, config={"x": value}).save(path)
    assert not path.exists()


def test_secrets_stay_out_of_the_file(path):
    url = "https://me:k2@host/x"
    secret = replace(
        RECORD, config={"tracker": {"api_key": "k1"}, "token": "k1", "url": url}, command="sprec a.api_key=k1"
    )
    secret.as_failed(f"no answer from {url}").save(path)
    saved = RunRecord.load(path)
    assert saved.config == {"tracker": {"api_key": "***"}, "token": "***", "url": "https://***@host/x"}
    assert saved.command == "sprec a.api_key=***"
    assert saved.error == "no answer from https://***@host/x"


def test_secrets_that_an_older_version_wrote_are_hidden_as_the_record_is_read(path):
    url = "https://me:a/b@host/x"
    old = write(path, config={"api_key": "k1"}, command="sprec userpwd=me:abc", error=url, tracker=url)
    record = RunRecord.load(old)
    assert (record.config, record.command) == ({"api_key": "***"}, "sprec userpwd=***")
    assert record.error == record.tracker == "https://***@host/x"


def test_an_address_of_a_tracker_is_saved_without_its_password(path):
    replace(RECORD, tracker="https://me:abc@wandb.ai/x").save(path)
    assert json.loads(path.read_text())["tracker"] == "https://***@wandb.ai/x"


def test_a_configuration_of_hundreds_of_levels_is_one_line(path):
    deep = json.loads("[" * 900 + "]" * 900)
    with pytest.raises(RecordError, match="nested too deeply to be a record"):
        RunRecord.load(write(path, config={"deep": deep}))


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_record(full, path, monkeypatch, when):
    RECORD.save(path)

    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": ("os.fsync", full_disk), "replace": (Path, "replace", full_disk)}[when])
    with pytest.raises(OSError, match="No space left"):
        full.save(path)
    assert RunRecord.load(path) == RECORD
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(DOCUMENT)[:-40], "is not whole JSON"),
        ("", "is not whole JSON"),
        ("[]", "holds a list, not a record"),
        ("{}", "has no schema number"),
        ('{"schema": 4, "new": 1}', "has schema 4, this sprec reads 3; use the sprec that wrote it"),
        ('{"schema": true}', "has no schema number"),
    ],
    ids=["truncated", "empty", "list", "foreign", "newer", "yes"],
)
def test_a_file_that_is_no_record_says_so_in_one_line(path, text, message):
    write(path).write_text(text)
    with pytest.raises(RecordError, match=message) as caught:
        RunRecord.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "7"}, "field 'seed' is '7', not int"),
        ({"dirty": 0}, "field 'dirty' is 0, not bool"),
        ({"status": "done"}, "field 'status' is 'done', not one of running, finished, failed"),
        ({"dataset": {"name": "toy"}}, r"field 'dataset\.digest' is missing"),
        ({"weights": None}, "field 'weights' must be an object"),
        ({"stages": [{"name": "sft"}]}, r"field 'stages\[0\]\.label' is missing"),
        ({"stages": {}}, "field 'stages' must be a list"),
        ({"drops": {"SFT": {"no title": 1.5}}}, r"field 'drops\.SFT\.no title' is 1\.5, not int"),
        ({"colour": "red"}, "field 'colour' is unknown"),
    ],
)
def test_a_field_that_does_not_fit_is_named(path, changes, message):
    with pytest.raises(RecordError, match=message):
        RunRecord.load(write(path, **changes))


def test_a_missing_field_is_named(path):
    document = {name: value for name, value in DOCUMENT.items() if name != "versions"}
    write(path).write_text(json.dumps(document))
    with pytest.raises(RecordError, match="field 'versions' is missing; run again, or leave the file out"):
        RunRecord.load(path)


def test_whole_numbers_are_seconds_too(path):
    stages = [{**DOCUMENT["stages"][0], "seconds": 2}]
    assert RunRecord.load(write(path, stages=stages)).stages[0].seconds == 2.0


def test_records_are_found_in_folders_and_by_name_once_and_in_order(tmp_path):
    for name in ("b/run.json", "a/1/run.json", "a/other.json"):
        RECORD.save(tmp_path / name)
    records, errors = find_records([tmp_path / "b", tmp_path, tmp_path / "a" / "other.json"])
    names = [path.relative_to(tmp_path).as_posix() for path, _ in records]
    assert names == ["a/1/run.json", "a/other.json", "b/run.json"]
    assert all(record == RECORD for _, record in records)
    assert errors == []


def test_a_damaged_record_is_named_and_hides_no_other(tmp_path):
    RECORD.save(tmp_path / "a" / "run.json")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text('{"status": 3')
    records, (error,) = find_records([tmp_path])
    assert [record for _, record in records] == [RECORD]
    assert str(tmp_path / "b" / "run.json") in str(error)


def test_an_empty_folder_holds_no_records(tmp_path):
    assert find_records([tmp_path]) == ([], [])


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"gone does not exist; name a run\.json or a folder"):
        find_records([tmp_path / "gone"])


def test_reading_records_imports_the_standard_library_only():
    script = "import sys, sprec.records.run_record; print(*{name.split('.')[0] for name in sys.modules})"
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    foreign = set(out.split()) - sys.stdlib_module_names - {"sprec"}
    assert not foreign & {"numpy", "torch", "wandb", "filelock", "polars", "pydantic", "transformers"}
