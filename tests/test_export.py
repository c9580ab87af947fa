"""Exported models are loaded with peft and transformers alone, and write the run's own titles."""

import json
import re
import subprocess
import sys

import polars as pl
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.experiment.config import validate_settings
from sprec.experiment.reload import ReloadedRun, tuned_models
from sprec.experiment.session import Session
from sprec.export import main
from sprec.records.run_record import RunRecord
from sprec.run import CONF

pytestmark = [pytest.mark.slow, pytest.mark.long]  # each outside process imports for twelve seconds
ROWS = 50
SMALL = ["dataset=toy", "tracker=silent", "trainer.threads=1", "method=random_negatives"]
SMALL += ["budget.iteration_rows=16", "budget.iterations=1", f"budget.test_rows={ROWS}"]
OUTSIDE = """
import json, sys
assert not any(name.split(".")[0] == "sprec" for name in sys.modules)
{load}
titles = []
text = open("prompt.txt", encoding="utf-8").read()
for history in json.load(open(sys.argv[1])):
    ids = tokenizer(text.replace("{{history}}", history), return_tensors="pt"{options}).input_ids
    {write}
print("TITLES", json.dumps(titles))
"""


@pytest.fixture(scope="module")
def runs(sprec_home, tmp_path_factory):
    """Return a maker of finished runs; torch is left as it was found."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    def make(*overrides):
        folder = tmp_path_factory.mktemp("run")
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = OmegaConf.to_container(compose("config", [*SMALL, *overrides]), resolve=True)
        Session(validate_settings(config), folder, command="python -m sprec.run HERE").run()
        return folder

    yield make
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """Return a run that tuned all weights of the tiny LLM, and the folder of the model that it exported."""
    run, output = runs("base_llm=tiny"), tmp_path_factory.mktemp("out") / "model"
    assert main(["--run", str(run), "--state", "initial_sft", "--output", str(output)]) == 0
    return run, output


@pytest.fixture(scope="module")
def run(runs, whole):
    """Return a run that tuned adapters of the exported model."""
    llm = ["base_llm=tiny", "base_llm.lora.rank=4", f"base_llm.weights.source={whole[1]}"]
    target = "base_llm.weights._target_=sprec.llm.base_models.Pretrained"
    drop = [f"~base_llm.weights.{name}" for name in ("hidden", "layers", "heads", "vocabulary", "seed")]
    # In bfloat16 an adapter beside its base rounds otherwise than merged, by enough for another title.
    exact = "trainer.precision=float32"
    return runs(*llm[:2], target, "+" + llm[2], *drop, "budget.sft_rows=64", exact)


def written_by(run, home, label):
    """Return the histories, quoted as in prompts, and the titles that the run itself wrote for them."""
    record = RunRecord.load(run / "run.json")
    stage = next(stage for stage in record.stages if stage.label == f"evaluate {label}")
    frame = pl.read_parquet(home / "stages" / "evaluate" / stage.key / "predictions.parquet")
    dataset = ReloadedRun.from_record(record).dataset
    titles = dataset.catalog.titles
    histories = [", ".join(f'"{titles[i]}"' for i in row.history) for row in dataset.split.test]
    return histories, frame["written"].to_list()


def write_outside(folder, histories):
    """Run the card's own lines in a process that knows nothing of this project; return its titles."""
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.S)
    load, write = blocks[0].splitlines(), blocks[1].splitlines()
    assert len(load) == 5
    options = ", add_special_tokens=False" if "add_special_tokens" in load[4] else ""
    code = OUTSIDE.format(
        load="\n".join(load),
        options=options,
        write="; ".join(write).replace("print(", "titles.append(").replace("ids = model", "ids = model"),
    )
    (folder / "histories.json").write_text(json.dumps(histories))
    command = [sys.executable, "-c", code, "histories.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.partition("TITLES ")[2])


def test_whole_model_outside_the_project_writes_the_runs_own_titles(whole, sprec_home):
    run, output = whole
    histories, expected = written_by(run, sprec_home, "initial_sft")
    assert len(set(expected)) > 1
    assert write_outside(output, histories) == expected
    assert not list(output.glob("adapter_*"))


@pytest.mark.parametrize(
    "options",
    [pytest.param([], id="adapter"), pytest.param(["--merged"], id="merged")],
)
def test_model_outside_the_project_writes_the_runs_own_titles(run, sprec_home, tmp_path, options, capsys):
    output = tmp_path / "model"
    assert main(["--run", str(run), "--state", "iteration_1", "--output", str(output), *options]) == 0
    assert (output / "adapter_model.safetensors").exists() is not bool(options)
    histories, expected = written_by(run, sprec_home, "iteration_1")
    assert len(expected) == ROWS
    assert len(set(expected)) > 1
    assert write_outside(output, histories) == expected
    card = (output / "README.md").read_text(encoding="utf-8")
    record = RunRecord.load(run / "run.json")
    for fact in (f"Seed {record.seed}", record.dataset.digest[:12], record.command, "| hr@5 |", "Licence"):
        assert fact in card
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--state", "iteration_7"], r"has no state 'iteration_7'; choose one of initial_sft, iteration_1"),
        (["--output", "."], r"--output \. exists already; name a new folder"),
        (["--run", "nowhere"], r"nowhere is no folder; give the output folder of a run"),
    ],
)
def test_what_cannot_be_exported_is_one_line(run, tmp_path, monkeypatch, capsys, arguments, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    options = dict(zip(("--run", "--output"), (str(run), str(tmp_path / "new")), strict=True))
    options |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    capsys.readouterr()
    assert main([word for pair in options.items() for word in pair]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(line, error)
    assert not (tmp_path / "new").exists()


def test_last_state_is_the_default(run):
    from sprec.export import choose_state

    models = tuned_models(RunRecord.load(run / "run.json"))
    assert choose_state(models, None).label == "iteration_1"
    assert choose_state(models, "initial_sft").label == "initial_sft"
