"""Shared fixtures: a store of its own per test run, and a tiny recommender."""

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sprec.data.prompts import Prompt
from sprec.data.readers.toy import toy_dataset
from sprec.llm.adapters import Lora
from sprec.llm.base_models import TinyLlama
from sprec.llm.language_model import LanguageModel

TESTS = Path(__file__).parent
SLOW_MODULES = {
    TESTS / name
    for name in (
        *("test_run.py", "test_conf.py", "test_readme.py", "test_recommend.py", "test_launchers.py"),
        *("test_score.py", "test_bad_input.py", "test_completion.py", "test_long_steps.py"),
        *("test_options.py", "test_export.py", "test_fuzz.py", "test_sweeps.py", "test_results.py"),
        *("benchmarks/test_bench.py", "benchmarks/test_side_process.py", "benchmarks/test_cuda.py"),
        *("data/download/test_sources.py", "data/readers/test_raw_datasets.py", "llm/test_architectures.py"),
        *("experiment/test_distributed_worker.py", "processes/test_torchrun.py", "experiment/test_plan.py"),
        *("records/test_tracking_online.py", "records/test_tracking.py", "store/test_store_lease.py"),
        *("report/test_main.py", "report/page/test_page_browser.py", "report/page/test_render.py"),
        *("report/figures/test_make.py", "report/figures/test_difference_figure.py"),
        *("report/dashboards/test_workspace.py", "report/dashboards/test_sweep_export.py"),
        *("generation/test_finished_groups.py", "training/test_peers.py"),
    )
}
"""Modules that run whole commands, compose all options, build many models, start browsers, tune for long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow modules, by module and not one by one."""
    for item in items:
        if item.path in SLOW_MODULES:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command that runs in this process sets up, so that no test prints for another."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        # pytest's own handlers belong to a phase of the test, and it takes them away itself.
        if handler not in before and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def sprec_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPREC_HOME", str(place))
        yield place


@pytest.fixture(scope="session")
def catalog():
    return toy_dataset().catalog


@pytest.fixture(scope="session")
def make(catalog, tmp_path_factory):
    """Build a tiny recommender with adapters of a rank (0: all weights are tuned)."""
    prompt = Prompt(toy_dataset().wording, titles=catalog.titles)
    texts = [prompt.text(())] * 10 + list(catalog.titles)

    @cache
    def folder(layers):
        place = tmp_path_factory.mktemp("tiny")
        TinyLlama("tiny", hidden=32, layers=layers, heads=4, vocabulary=600).write(place, texts)
        return place

    def build(rank=0, cutoff_tokens=512, device="cpu", bf16=False, layers=2, engine="fast"):
        lora = Lora(rank=rank, alpha=8, dropout=0.0)
        formats = {"bf16": bf16, "engine": engine}
        limits = {"cutoff_tokens": cutoff_tokens, "seed": 0}
        return LanguageModel(folder(layers), prompt, lora=lora, device=device, **formats, **limits)

    return build
