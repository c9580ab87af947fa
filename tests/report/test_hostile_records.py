"""Records from a stranger: whatever stands in them is shown or refused in one line, and nothing acts."""

import json
import os
import re
import subprocess
import time

import numpy as np
import pytest

from sprec.records.encoded_ids import encode_ids
from sprec.records.run_record import RunRecord
from sprec.report.__main__ import main as report
from sprec.report.page import render
from tests.report.hostile_records import full

ANSI = "\x1b]0;owned\x07\x1b[2J"
HTML = "<img src=x onerror=alert(1)></title><script>alert(1)</script>"
LATEX = r"\input{/etc/passwd}\write18{id}%"
FORMULA = "=cmd|'/c calc'!A0"
PATH = "../../../../owned"
LONG = "A" * 5_000_000


def at(*keys):
    """Return a change of a document: set what lies under these keys."""

    def change(value):
        def apply(document):
            for key in keys[:-1]:
                document = document[key]
            document[keys[-1]] = value

        return apply

    return change


HOSTILE = {
    "names of other code": at("config", "embeddings")({"_target_": "os.system", "command": "touch owned"}),
    "deep configuration": at("config", "deep")(json.loads("[" * 400 + "]" * 400)),
    "interpolation": at("config", "group")("${oc.env:HOME}"),
    "escape codes in a command": at("command")(f"python -m sprec.run {ANSI}"),
    "escape codes in a name": at("dataset", "name")(f"toy{ANSI}"),
    "markup in a name": at("dataset", "name")(HTML),
    "markup in a method": at("method")(HTML),
    "LaTeX in a method": at("method")(LATEX),
    "a formula as method": at("method")(FORMULA),
    "a path as dataset": at("dataset", "name")(PATH),
    "a path as model": at("weights", "name")(PATH),
    "a path as address": at("tracker")(f"file:///{PATH}"),
    "markup in an error": at("error")(HTML),
    "a very long error": at("error")(LONG),
    "a very long label": at("evaluations", 1, "label")(LONG),
    "lists of a billion ids": at("evaluations", 1, "lists")("eNoDAAAAAAE=" * 50),
    "lists of other users": at("evaluations", 1, "lists")(encode_ids(np.array([[1, 2]]))),
    "ids that no item has": at("targets")(encode_ids(np.array([[10**8]] * 6))),
    "infinite scores": at("evaluations", 1, "scores")({"hr@1": 1e308, "ndcg@1": -1e308}),
    "unknown scores": at("evaluations", 1, "scores")({HTML: 1.0, FORMULA: 2.0}),
    "a negative N": at("evaluations", 1, "n")(-5),
    "a huge N": at("evaluations", 1, "n")(10**15),
    "a curve of a million steps": at("curves", "dpo 1")({"loss": [0.5] * 1_000_000}),
    "markup in a curve": at("curves", HTML)({FORMULA: [0.5, 0.4]}),
    "a stage elsewhere": at("stages", 0, "key")(PATH),
    "seconds without end": at("stages", 0, "seconds")(1e300),
    "a user beyond all rows": at("sampled_users")([{"row": 10**9, "history": [1], "target": 2}]),
    "a schema of tomorrow": at("schema")(10**6),
}
DAMAGED = {
    "a list with an item that nobody describes": (
        at("evaluations", 1, "lists")(encode_ids(np.full((6, 2), 99))),
        "evaluation 'iteration_1': the record does not describe item 99",
    ),
    "lists of four users": (
        at("evaluations", 1, "lists")(encode_ids(np.zeros((4, 2), dtype=int))),
        "has 8 ids in its lists, not 2 for each of 6 users",
    ),
    "lists that are no text of lists": (at("evaluations", 1, "lists")("no base64!"), "no encoded lists"),
    "targets that are no text of lists": (at("targets")("eJwD"), "targets: these are no encoded lists"),
    "targets of four users": (
        at("targets")(encode_ids(np.zeros((4, 1), dtype=int))),
        "4 targets for evaluation 'initial_sft''s 6 users",
    ),
    "a score of longer lists": (
        at("evaluations", 1, "scores", "hr@10")(0.5),
        "has 12 ids in its lists, not 10 for each of 6 users",
    ),
    "scores of nobody": (
        lambda document: document["evaluations"][1].update(n=0, n_in_catalog=0),
        "has scores of 0 users",
    ),
    "a time without its zone": (at("finished")("2026-01-01T00:10:00"), "field 'finished' is '2026-01-01T"),
    "last week": (at("started")("last week"), "field 'started' is 'last week'"),
    "no items": (
        lambda document: document["items"].update(ids=[], titles=[], popularity=[], genres=[]),
        "has lists, but the record describes no item",
    ),
    "an item's id of 10 to the 12": (
        at("items", "ids", -1)(10**12),
        "items have ids from 0 to 1000000000000",
    ),
}
"""Damage beside the reason that the note gives."""
COMMANDS = {
    "markdown": ["--table", "main"],
    "LaTeX": ["--table", "main", "--format", "latex"],
    "CSV": ["--table", "ablation", "--format", "csv"],
    "HTML": ["--table", "main", "--format", "html"],
    "each run": [],
    "explained": ["--table", "main", "--explain", "sprec,hr@1"],
    "page": ["page", "--output", "page.html"],
    "dashboard": ["dashboard"],
}
MOST_SECONDS = 5


@pytest.fixture
def nothing_acts(monkeypatch, tmp_path):
    """Fail where a record makes this process run something or write outside its folder."""

    def forbidden(*arguments, **_):
        raise AssertionError(f"called with {arguments}")

    monkeypatch.setattr(render, "to_inline_svg", lambda chart, alternative: "<svg></svg>")
    for owner, name in ((os, "system"), (subprocess, "Popen")):
        monkeypatch.setattr(owner, name, forbidden)
    place = tmp_path / "a" / "b" / "c" / "d"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    yield place
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if "owned" in path.name] == []
    assert {path.name for path in place.iterdir()} <= {"good", "record", "page.html"}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_acts(name, make, nothing_acts, capsys):
    full(make, seed=1).save(nothing_acts / "good" / "run.json")
    file = nothing_acts / "record" / "run.json"
    full(make).save(file)
    document = json.loads(file.read_text())
    HOSTILE[name](document)
    file.write_text(json.dumps(document))
    for command, words in COMMANDS.items():
        verb = words[:1] if command in ("page", "dashboard") else []
        start = time.monotonic()
        status = report([*verb, str(nothing_acts), *words[len(verb) :]])
        out, err = capsys.readouterr()
        if command == "page" and status == 0:
            out = (nothing_acts / "page.html").read_text(encoding="utf-8")
            assert len(out) < 1_500_000
        assert time.monotonic() - start < MOST_SECONDS
        assert status in (0, 2)
        assert err.count("\n") <= 1
        assert "\x1b" not in out + err
        if "html" in words or command == "page":
            assert not re.search(r"<(script|img)\b", out)
        if "latex" in words:
            code = re.sub("^%.*$", "", out, flags=re.M)  # a comment of one line does nothing
            assert r"\input{" not in code
            assert r"\write" not in code


def test_each_of_them_is_read_or_refused_by_its_name(make, tmp_path):
    refused = {}
    for name, change in HOSTILE.items():
        file = tmp_path / name / "run.json"
        full(make).save(file)
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
        try:
            RunRecord.load(file)
        except ValueError as error:
            refused[name] = str(file) in str(error) and len(str(error)) < 600
    assert all(refused.values()), refused
    assert {"a schema of tomorrow", "a negative N"} <= set(refused)


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("command", ["ablation", "each run", "page"])
def test_one_damaged_record_is_a_note_beside_the_others_and_a_line_alone(
    name, command, make, nothing_acts, capsys
):
    words = {"ablation": ["--table", "ablation"], "each run": [], "page": ["--output", "page.html"]}[command]
    verb = ["page"] if command == "page" else []
    change, reason = DAMAGED[name]
    full(make, seed=1).save(nothing_acts / "good" / "run.json")
    file = nothing_acts / "record" / "run.json"
    full(make).save(file)
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    assert report([*verb, str(nothing_acts), *words]) == 0
    out, err = capsys.readouterr()
    text = (out + err).replace("\\", "")
    assert f"left out: {file}: " in text
    assert reason in text
    assert report([*verb, str(file), *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert str(file) in err


def test_secrets_of_an_older_record_reach_neither_page_nor_table(make, nothing_acts, capsys):
    file = nothing_acts / "record" / "run.json"
    full(make, status="failed").save(file)
    document = json.loads(file.read_text())
    for name in ("command", "error", "tracker"):
        document[name] = f"{name} https://me:hunter/2@host"
    document["config"]["note"] = "userpwd=me:hunter2"
    file.write_text(json.dumps(document))
    assert report(["page", str(file), "--output", "page.html"]) == 0
    assert report([str(file), "--table", "run"]) == 0
    out, err = capsys.readouterr()
    page = (nothing_acts / "page.html").read_text(encoding="utf-8")
    assert "hunter" not in page + out + err
