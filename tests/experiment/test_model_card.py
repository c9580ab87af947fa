"""The lines of an exported model's card, run as they stand."""

import json
from types import SimpleNamespace

import pytest
import torch

from sprec.data.examples import Example
from sprec.data.prompts import read_title
from sprec.experiment import prepare
from sprec.experiment.model_card import AdapterBase, load_lines, read_line, rounding_lines, write_lines
from sprec.export import _write_model
from sprec.generation.rankers import write_greedily

HUB = AdapterBase("org/model", "v1.2")


@pytest.fixture
def tuned(make):
    """Return a model whose base punishes repeated tokens when stock `generate` writes."""
    model = make(4, engine="plain")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.tuned_weights().values():
            weight.add_(0.1 * torch.randn_like(weight))
    model.base_model.generation_config.repetition_penalty = 5.0
    return model


def write_by_card(model, prompt, lines, capsys):
    """Return the title that these lines print for a prompt."""
    names = {"model": model.network, "tokenizer": model.tokenizer, "ids": torch.tensor([prompt])}
    capsys.readouterr()
    exec("\n".join(lines), names)
    return capsys.readouterr().out.removesuffix("\n")


def test_an_adapters_card_writes_as_the_run_whatever_its_base_asks_generate_for(tuned, catalog, capsys):
    example = Example(tuple(range(5)), -1)
    prompt = tuned.encode(catalog.titles[:5]).prompt
    [expected] = write_greedily(tuned, catalog, [example], batch_tokens=4000)
    lines = write_lines(tuned, HUB)
    assert write_by_card(tuned, prompt, lines[2:], capsys) != expected
    assert write_by_card(tuned, prompt, lines, capsys) == expected


@pytest.mark.parametrize(
    ("opened", "answer", "title"),
    [
        (True, 'Heat (1995)", "Ran', "Heat (1995)"),
        (True, " Heat\nand more", "Heat"),
        (False, ' "Heat" or "Ran"', "Heat"),
        (False, "no quote", "no quote"),
    ],
)
def test_a_card_reads_an_answer_as_the_run_does(opened, answer, title, capsys):
    exec(read_line(opened=opened), {"answer": answer})
    assert capsys.readouterr().out == f"{title}\n"
    assert read_title(answer, opened=opened) == title


def test_an_adapter_in_half_precision_says_that_it_rounds_otherwise():
    half, whole = (SimpleNamespace(dtype=kind) for kind in (torch.bfloat16, torch.float32))
    assert "Beside their base, in bfloat16, sums round" in rounding_lines(half, HUB)[0]
    assert rounding_lines(whole, HUB) == rounding_lines(half, None) == []


def test_a_base_of_the_hub_is_loaded_in_the_runs_revision(tuned, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "store_base_model", lambda *_: tmp_path)
    weights = SimpleNamespace(source="org/model", commit="v1.2")
    run = SimpleNamespace(components=SimpleNamespace(weights=weights), dataset=None)
    base = _write_model(run, tuned, tmp_path, merged=False)
    assert base == HUB
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("org/model", "v1.2")
    line = 'AutoModelForCausalLM.from_pretrained("org/model", dtype="float32", revision="v1.2")'
    assert line in load_lines(tuned, base, "")[3]
    assert "revision" not in load_lines(tuned, AdapterBase("base_model"), "")[3]
