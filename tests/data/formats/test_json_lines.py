import ast
import gzip
import json

import polars as pl
import pytest

from sprec.data.formats import json_lines
from sprec.data.formats.json_lines import NUMBER, TEXT, TEXTS, read_frames

FIELDS = {"name": TEXT, "size": NUMBER, "tags": TEXTS}
ROWS = [
    {"name": "Ünï ☃", "size": 5, "tags": ["a", "b"], "other": {"deep": [1, {"x": 2}]}},
    {"other": "x" * 300, "tags": [], "size": 4.5, "name": 'quo"te\n'},
    {"name": "7", "size": -1e3, "tags": ["ü"]},
]
EXPECTED = [(1, "Ünï ☃", 5.0, ["a", "b"]), (2, 'quo"te\n', 4.5, []), (3, "7", -1000.0, ["ü"])]


def write(folder, text, name="rows.json"):
    raw = text if isinstance(text, bytes) else text.encode()
    path = folder / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def read(path, fields=FIELDS, **settings):
    return pl.concat(read_frames(path, fields, **settings)).rows()


@pytest.mark.parametrize("name", ["rows.json", "rows.json.gz"])
@pytest.mark.parametrize("end", ["\n", ""], ids=["last line ends", "last line is open"])
def test_wanted_fields_of_json_lines_come_with_their_line(tmp_path, name, end):
    path = write(tmp_path, "\n".join(map(json.dumps, ROWS)) + end, name)
    assert read(path) == EXPECTED


def test_wanted_fields_of_python_lines_are_the_same(tmp_path):
    path = write(tmp_path, "\n".join(map(repr, ROWS)).replace("'name': '", "'name': u'"))
    assert read(path, parse=ast.literal_eval) == EXPECTED


def test_lines_are_counted_over_chunks_and_blank_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "CHUNK_BYTES", 50)
    lines = ["" if number % 7 == 3 else json.dumps({"name": str(number)}) for number in range(1, 60)]
    path = write(tmp_path, "\n".join(lines))
    chunks = list(read_frames(path, {"name": TEXT}))
    assert len(chunks) > 10
    assert [(str(line), name) for line, name in pl.concat(chunks).rows()] == [
        (str(number), str(number)) for number in range(1, 60) if number % 7 != 3
    ]


def test_optional_fields_may_be_null_or_missing(tmp_path):
    path = write(tmp_path, '{"name": null, "size": 1}\n{"size": 2}\n')
    assert read(path, optional=("name", "tags")) == [(1, None, 1.0, None), (2, None, 2.0, None)]


def test_lists_of_lists_are_one_list(tmp_path):
    path = write(tmp_path, "{'tags': [['CDs', 'Pop'], ['CDs', 'Jazz']]}\n")
    assert read(path, {"tags": TEXTS}, parse=ast.literal_eval) == [(1, ["CDs", "Pop", "CDs", "Jazz"])]


SAME = {"json": json.loads, "line by line": lambda line: json.loads(line)}


@pytest.mark.parametrize("parse", SAME.values(), ids=SAME)
def test_a_record_reads_the_same_fast_and_line_by_line(tmp_path, parse):
    line = '{"name": 5.0, "size": 1, "tags": [["Music", "Jazz"], ["Pop"], "[REC]", 3]}\n'
    line += '{"name": "[REC]", "size": 2, "tags": ["true"]}\n{"name": "1.5", "size": 3, "tags": []}\n'
    assert read(write(tmp_path, line), parse=parse) == [
        (1, "5", 1.0, ["Music", "Jazz", "Pop", "[REC]", "3"]),
        (2, "[REC]", 2.0, ["true"]),
        (3, "1.5", 3.0, []),
    ]


@pytest.mark.parametrize("parse", SAME.values(), ids=SAME)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"name": ["T"], "tags": []', r"field 'name' is \"\['T'\]\", expected a text"),
        ('"name": true, "tags": []', "field 'name' is 'True', expected a text"),
        ('"name": 1.5, "tags": []', "field 'name' is '1.5', expected a text"),
        ('"name": {"a": 1}, "tags": []', "field 'name' is .*, expected a text"),
        ('"name": "T", "tags": [true]', "field 'tags' is .*, expected a list of texts"),
        ('"name": "T", "tags": [null, "a"]', "field 'tags' is .*, expected a list of texts"),
    ],
)
def test_what_is_no_text_is_refused_fast_and_line_by_line(tmp_path, fields, message, parse):
    path = write(tmp_path, f'{{"name": "a", "size": 1, "tags": []}}\n{{"size": 1, {fields}}}\n')
    with pytest.raises(ValueError, match=f"json:2: {message}"):
        read(path, parse=parse)


def test_only_wanted_fields_are_kept(tmp_path):
    path = write(tmp_path, json.dumps({"name": "a", "text": "x" * 1_000_000}) + "\n")
    (frame,) = read_frames(path, {"name": TEXT})
    assert frame.columns == ["line", "name"]
    assert frame.estimated_size() < 100


GOOD = b'{"name": "a", "size": 1, "tags": []}\n'


@pytest.mark.parametrize("parse", [json.loads, ast.literal_eval], ids=["json", "python"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"name": "a", "size": "big", "tags": []}', r"json:2: field 'size' is 'big', expected a number"),
        (b'{"name": "a", "tags": []}', r"json:2: field 'size' is missing; correct or delete this line"),
        (b'{"name": "a", "size": 1, "tags": 3}', r"json:2: field 'tags' is '3', expected a list of texts"),
        (b'{"name": "a", "size" 1}', r"json:2: no object \(.*\); each line is one"),
        (b"[1, 2]", r"json:2: '\[1, 2\]' is no object with fields"),
        ('{"name": "é", "size": 1, "tags": []}'.encode("latin-1"), r"json:2: byte 0xe9 is not utf-8; save"),
    ],
    ids=["no number", "missing", "no list", "syntax", "no object", "no utf-8"],
)
def test_a_faulty_line_is_named_with_its_field(tmp_path, line, message, parse):
    path = write(tmp_path, GOOD + line + b"\n" + GOOD)
    with pytest.raises(ValueError, match=message) as caught:
        read(path, parse=parse)
    assert "\n" not in str(caught.value)


def test_a_packed_file_cut_short_is_named(tmp_path):
    path = write(tmp_path, GOOD * 9999, "rows.json.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"rows\.json\.gz is damaged .*; fetch the file anew"):
        read(path)
