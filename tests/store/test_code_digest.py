"""Digests of code: what is computed counts, how it is written down does not."""

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import pytest

from sprec.store import code_digest as digests
from sprec.store import module_source
from sprec.store.code_digest import LIBRARIES, code_digest, library_versions, reachable
from sprec.store.module_source import Symbol, is_followed

FILES = {
    "__init__.py": "from kit.losses import dpo as dpo\n",
    "losses.py": '''"""Losses."""
from typing import TYPE_CHECKING

from kit import numbers

if TYPE_CHECKING:
    from kit.shapes import Pair

SCALE = 2.0
"""How much."""


def sft(x):
    """Return the loss."""
    return x  # as it is


def dpo(x: "Pair"):
    return SCALE * numbers.sigmoid(x.swap())


def lazily(x):
    from kit.late import answer

    return answer(x)
''',
    "numbers.py": "def sigmoid(x):\n    return 1 / (1 + x)\n\n\ndef unused(x):\n    return x\n",
    "late.py": "def answer(x):\n    return 42\n",
    "shapes.py": "class Pair:\n    def swap(self):\n        return 1\n\n\nclass Other:\n    pass\n",
    "samplers.py": """from dataclasses import dataclass

from kit import dpo

REGISTRY = {}


def register(function):
    REGISTRY[function.__name__] = function
    return function


@register
def by_name(x):
    return x


@dataclass
class Random:
    count: int = 1
    inner: object = None

    def __call__(self, x):
        return self.draw(x)

    def draw(self, x):
        return x

    def describe(self):
        return "random"

    def key(self):
        return [Random.key, self.count]


def looks_up(name):
    return REGISTRY[name]
""",
}
DIGEST = """
import importlib, json, sys
from functools import partial
from sprec.store.code_digest import code_digest
losses, samplers = importlib.import_module("kit.losses"), importlib.import_module("kit.samplers")
objects = {
    "sft": losses.sft, "dpo": partial(losses.dpo, 1), "lazily": losses.lazily, "looks_up": samplers.looks_up,
    "random": samplers.Random(), "nested": samplers.Random(1, losses.sft), "call": samplers.Random.__call__,
    "names_itself": samplers.Random.key,
}
print(json.dumps({name: code_digest(value) for name, value in objects.items()}))
"""


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Return a function that edits a package and says which objects' digests change."""
    package = tmp_path / "kit"
    package.mkdir()
    for name, text in FILES.items():
        (package / name).write_text(text)

    def run():
        # A process each: sources are parsed once in a process.
        command = [sys.executable, "-B", "-c", DIGEST]
        path = {"PYTHONPATH": f"{tmp_path}:{digests.__file__.rsplit('/sprec/', 1)[0]}", "PATH": ""}
        return json.loads(
            subprocess.run(command, env=path, check=True, capture_output=True, text=True).stdout
        )

    before = run()

    def edit(name, old, new):
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new))
        after = run()
        return {key for key in before if before[key] != after[key]}

    edit.before = before
    return edit


RANDOM = "return x\n\n    def describe"
EDITS = {
    "objective": ("losses.py", "return x  # as it is", "return -x", "sft nested"),
    "comment": ("losses.py", "  # as it is", "  # unchanged", ""),
    "docstring": ("losses.py", "Return the loss", "Return a loss", ""),
    "text of a constant": ("losses.py", "How much", "So much", ""),
    "layout": ("losses.py", "return x  # as it is", "return (\n        x\n    )", ""),
    "constant": ("losses.py", "SCALE = 2.0", "SCALE = 3.0", "dpo"),
    "helper": ("numbers.py", "1 / (1 + x)", "1 / (1 - x)", "dpo"),
    "unused helper": ("numbers.py", "unused(x):\n    return x", "unused(x):\n    return -x", ""),
    "late import": ("late.py", "42", "43", "lazily"),
    "quoted annotation": ("shapes.py", "return 1", "return 2", "dpo"),
    "method": ("samplers.py", RANDOM, RANDOM.replace("x", "-x"), "random nested call"),
    "method that another does not call": ("samplers.py", '"random"', '"Random"', "random nested"),
    "registered function": (
        *("samplers.py", "by_name(x):\n    return x", "by_name(x):\n    return -x"),
        "random nested call looks_up names_itself",
    ),
}


@pytest.mark.parametrize(("name", "old", "new", "changed"), EDITS.values(), ids=EDITS)
def test_an_edit_changes_what_refers_to_it_and_nothing_else(digest, name, old, new, changed):
    assert digest(name, old, new) == set(changed.split())


@dataclass
class Holder:
    held: object


def double(x):
    return 2 * x


def triple(x):
    return 3 * x


def test_instances_count_with_what_they_hold_and_partial_functions_with_their_arguments():
    held = [Holder(double), Holder(triple), Holder([double, triple]), Holder({"a": partial(double, triple)})]
    assert len(set(map(code_digest, held))) == 3
    assert code_digest(held[2]) == code_digest(held[3]) == code_digest(Holder, triple, double)
    assert code_digest(Holder(1)) == code_digest(Holder("x")) == code_digest(Holder)


def test_functions_of_one_name_in_two_modules_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("one_loss", "other_loss"):
        (tmp_path / f"{name}.py").write_text("def loss(x):\n    return x\n")
    one, other = (importlib.import_module(name).loss for name in ("one_loss", "other_loss"))
    assert code_digest(one) != code_digest(other)


def test_a_librarys_class_counts_by_its_version(monkeypatch):
    before = code_digest(json.JSONDecoder, pytest.MonkeyPatch)
    assert code_digest(json.JSONDecoder, pytest.MonkeyPatch) == before
    digests._digest.cache_clear()
    monkeypatch.setattr(digests, "version", lambda name: "0.0")
    assert code_digest(json.JSONDecoder, pytest.MonkeyPatch) != before
    digests._digest.cache_clear()


def test_a_package_beside_the_record_of_its_installation_is_a_library(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lib_by_target.py").write_text("import _no_source\n")
    assert is_followed("lib_by_target")
    (tmp_path / "own_by_target.py").write_text("import os\n")
    info = tmp_path / "lib_by_target-1.0.dist-info"  # as `pip install --target` leaves it
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lib-by-target\nVersion: 1.0\n")
    (info / "RECORD").write_text("lib_by_target.py,,\n")
    is_followed.cache_clear()
    module_source._distributions.cache_clear()
    assert not is_followed("lib_by_target")
    assert is_followed("own_by_target")  # which lies beside it, and no installation knows it
    is_followed.cache_clear()
    module_source._distributions.cache_clear()


def test_code_without_source_is_refused():
    with pytest.raises(ValueError, match="no_such_module has no Python source"):
        list(reachable([Symbol("sprec.no_such_module", "f")]))


def test_versions_are_those_of_what_computes_and_importing_nothing():
    script = "import sys; from sprec.store import code_digest; code_digest.library_versions()"
    script += "; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script]) == b"False\n"
    assert set(library_versions()) == set(LIBRARIES)
    assert library_versions(("no-such-library",)) == {"no-such-library": ""}


EDITED_MEANWHILE = """
import importlib, pathlib, sys
from sprec.store.code_digest import code_digest, remember_code
losses = importlib.import_module("kit.losses")
edit = lambda name, text: pathlib.Path("kit", name).write_text(text)
remember_code()
{}
print(code_digest(losses.sft), code_digest(losses.lazily))
"""
EDIT_LATE = "edit('late.py', 'def answer(x): return 41'); "


@pytest.mark.parametrize(
    ("meanwhile", "is_refused"),
    [
        ("", False),
        ("edit('losses.py', 'def sft(x): return -x')", False),  # the old one runs
        ("import kit.late; remember_code(); " + EDIT_LATE, False),
        ("code_digest(losses.lazily); import kit.late; remember_code(); " + EDIT_LATE, False),
        # Its key holds the old text, and the new one would be imported, or is.
        ("code_digest(losses.lazily); " + EDIT_LATE, True),
        ("code_digest(losses.lazily); " + EDIT_LATE + "import kit.late; remember_code()", True),
    ],
)
def test_code_edited_while_a_run_goes_on_counts_as_it_was_imported(digest, tmp_path, meanwhile, is_refused):
    command = [sys.executable, "-B", "-c", EDITED_MEANWHILE.format(meanwhile)]
    path = {"PYTHONPATH": f"{tmp_path}:{digests.__file__.rsplit('/sprec/', 1)[0]}", "PATH": ""}
    done = subprocess.run(command, env=path, cwd=tmp_path, capture_output=True, text=True)
    if is_refused:
        assert "kit/late.py was edited after this run had begun" in done.stderr
    else:
        assert done.stdout.split() == [digest.before["sft"], digest.before["lazily"]], done.stderr
