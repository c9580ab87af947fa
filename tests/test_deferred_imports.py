"""Libraries that are imported at the first look inside."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sprec.deferred_imports import defer_import, import_deferred, when_imported

ROOT = Path(__file__).parents[1]
WITH_NETWORKS = {f"sprec.baselines.{name}" for name in ("sasrec", "gru4rec", "sequential", "guided_ranker")}
"""Modules that define or hold networks of their own; only a run that trains one asks for them."""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A package that counts how often it is executed, with a submodule."""
    folder = tmp_path / "counting"
    folder.mkdir()
    (folder / "__init__.py").write_text("import counted\ncounted.times += 1\nvalue = 7\n")
    (folder / "inner.py").write_text("import counting\nvalue = counting.value + 1\n")
    (tmp_path / "replacing.py").write_text(
        "import sys, types\n"
        "other = types.ModuleType('replacing')\n"
        "other.value = 9\n"
        "sys.modules['replacing'] = other\n"
    )
    (tmp_path / "counted.py").write_text("times = 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("counted")
    for name in ("counting", "counting.inner", "counted", "replacing"):
        sys.modules.pop(name, None)


def test_library_is_executed_once_at_the_first_look_inside(library):
    defer_import("counting")
    module = importlib.import_module("counting")
    assert module.__file__.endswith("__init__.py")
    assert inspect.ismodule(module)
    assert library.times == 0
    assert (module.value, module.value, library.times) == (7, 7, 1)
    assert type(module) is type(sys)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


def test_submodule_executes_its_package_first(library):
    defer_import("counting")
    assert importlib.import_module("counting.inner").value == 8
    assert library.times == 1


def test_actions_wait_for_the_import_and_are_done_in_order(library):
    done = []
    defer_import("counting")
    when_imported("counting", lambda: done.append(1))
    when_imported("counting", lambda: done.append(2))
    assert done == []
    _ = importlib.import_module("counting").value
    assert done == [1, 2]
    when_imported("counting", lambda: done.append(3))
    assert done == [1, 2, 3]


def test_module_that_puts_another_in_its_place_is_that_one(library):
    done = []
    defer_import("replacing")
    held = importlib.import_module("replacing")
    when_imported("replacing", lambda: done.append(1))
    assert (held.value, held.value, done) == (9, 9, [1])
    assert importlib.import_module("replacing") is not held


def test_imported_and_missing_libraries_are_left_alone(library):
    module = importlib.import_module("counting")
    defer_import("counting")
    defer_import("not_installed_anywhere")
    assert sys.modules["counting"] is module
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("not_installed_anywhere")


def test_failed_import_tells_its_reason_again_and_leaves_no_half(library, tmp_path):
    (tmp_path / "failing.py").write_text("value = 1\nraise OSError('no such library')\n")
    done = []
    defer_import("failing", __version__="3")
    module = importlib.import_module("failing")
    when_imported("failing", lambda: done.append(1))
    for _ in range(2):
        with pytest.raises(OSError, match="no such library"):
            _ = module.value
    assert (module.__version__, done) == ("3", [])
    (tmp_path / "failing.py").write_text("value = 22222\n")
    importlib.invalidate_caches()
    assert (module.value, done) == (22222, [1])
    del sys.modules["failing"]


def test_all_that_waits_is_executed_on_demand(library):
    defer_import("counting")
    import_deferred()
    import_deferred()
    assert library.times == 1


def targets(node):
    """Yield every `_target_` of a configuration."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == "_target_":
            yield value
        elif isinstance(value, dict | list):
            yield from targets(value)


def test_no_option_needs_torch_before_it_computes():
    files = [path for path in (ROOT / "conf").rglob("*.yaml") if "hydra" not in path.parts]
    found = {target for path in files for target in targets(OmegaConf.to_container(OmegaConf.load(path)))}
    modules = {target.rpartition(".")[0] for target in found if target.startswith("sprec.")}
    assert len(modules - WITH_NETWORKS) > 10
    code = (
        "import sys; from importlib import import_module; from sprec.deferred_imports import defer_import\n"
        "for name in ('torch', 'transformers'): defer_import(name)\n"
        "for name in sys.argv[1:]:\n"
        "    import_module(name)\n"
        "    assert not {'torch._C', 'transformers.utils'} & {*sys.modules}, name\n"
    )
    command = [sys.executable, "-c", code, "sprec.experiment.session", *sorted(modules - WITH_NETWORKS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
