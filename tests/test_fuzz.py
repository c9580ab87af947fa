"""Bad input of hundreds of kinds over all entry points: one line with key or file, none accepted."""

import json
import random
import re
import sys
from copy import deepcopy
from functools import cache

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from sprec import recommend, run, score
from sprec.experiment.build import build_components
from sprec.experiment.config import validate_settings
from sprec.experiment.prepare import load_or_build_dataset
from sprec.report import __main__ as report

BASE = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.device=cpu", "trainer.threads=1"]
SEED = 20251128
WRONG = {
    bool: ["no", "yes", 1, 0, 2.5, None, [True], {"a": True}],
    int: ["three", True, 1.5, float("nan"), float("inf"), [1], {"a": 1}],
    float: ["half", True, float("nan"), float("-inf"), [0.5], {"a": 0.5}],
    str: [3, True, 1.5, ["a"], {"a": "b"}],
    list: ["text", 3, True, {"a": 1}],
}
"""Values of other types than a setting of each type may have."""
FITTING = [(name, 1.5) for name in ("timeout_seconds", "finish_seconds", "checkpoint_minutes")]
FITTING += [("target_modules", ["a"])]
"""Not wrong: fractions where defaults are whole, and a list of layers where the default is a word for all."""


@cache
def config(*words):
    with initialize_config_dir(str(run.CONF), version_base="1.3"):
        container = OmegaConf.to_container(compose("config", [*BASE, *words]), resolve=True)
    container.pop("sweep", None)
    return container


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif value is not None and key != "_target_":
            yield (*path, key), value


def with_value(node, path, value):
    changed = deepcopy(node)
    owner = changed
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return changed


CHOICES = [
    (),
    *((f"negatives={name}",) for name in ("ches", "mixture", "low_exposure", "semantic_similar", "beams")),
    *((f"method={name}",) for name in ("d3", "cft", "rw", "sasrec", "gru4rec", "rosepo")),
    *(("ranking=beam", "decoding=sampled"), ("tracker=wandb",), ("prompt=chat",), ("embeddings=ngrams",)),
]


def bad_values():
    """Yield choices, dotted key and a value of a wrong type: each setting once for each."""
    seen = set()
    for words in CHOICES:
        for path, value in leaves(config(*words)):
            target = config(*words)
            for key in path[:-1]:
                target = target[key]
            name = (target.get("_target_"), path)
            if name in seen:
                continue
            seen.add(name)
            for wrong in WRONG[type(value)]:
                if not (type(wrong) is int and type(value) is float) and (path[-1], wrong) not in FITTING:
                    yield words, path, wrong


def test_no_setting_takes_a_value_of_a_wrong_type():
    kinds, silent, unclear = list(bad_values()), [], []
    for words, path, wrong in kinds:
        key = ".".join(path)
        try:
            build_components(validate_settings(with_value(config(*words), path, wrong)))
            silent.append((words, key, wrong))
        except ValueError as error:
            if path[-1] not in str(error) or "\n" in str(error) or len(str(error)) > 600:
                unclear.append((words, key, wrong, str(error)[:300]))
        except Exception as error:
            unclear.append((words, key, wrong, repr(error)[:300]))
    print(len(kinds))
    assert len(kinds) > 300
    assert silent == []
    assert unclear == []


COMMAND_LINES = [
    ("budget.iterationz=3", "budget.iterations"),
    ("budgett.iterations=3", "budget.iterations"),
    ("+budget.iterationz=3", "budget.iterations"),
    ("budget.sft.epoch=1", "budget.sft.epochs"),
    ("datset=toy", "dataset"),
    ("dataset=movielns", "movielens"),
    ("method=sprek", "sprec"),
    ("negatives=randm", "random"),
    ("base_llm=tinny", "tiny"),
    ("trainer=cpuu", "cpu"),
    ("ranking=beams", "beam"),
    ("embeddings=ngram", "ngrams"),
    ("+sweep=ablations", "sweep"),
    ("+experiment=papers", "paper"),
    ("sead=1", "seed"),
    ("split=train", "split"),
    ("seed=-1", "seed"),
    ("seed=1.5", "seed"),
    ("seed=one", "seed"),
    ("cutoffs=[0]", "cutoffs"),
    ("cutoffs=[]", "cutoffs"),
    ("cutoffs=5", "cutoffs"),
    ("cutoffs=[a]", "cutoffs"),
    ("goal=accuracy", "goal"),
    ("goal=ndcg@7", "goal"),
    ("rows_seed=luck", "rows_seed"),
    ("trainer.device=tpu", "trainer.device"),
    ("trainer.device=cuda:99", "trainer.device"),
    ("trainer.threads=0", "trainer.threads"),
    ("trainer.clip_norm=0", "trainer.clip_norm"),
    ("trainer.checkpointing=no", "trainer.checkpointing"),
    ("trainer.devices=0", "trainer.devices"),
    ("budget.iterations=-1", "budget.iterations"),
    ("budget.sft_rows=0", "budget.sft_rows"),
    ("budget.initial.learning_rate=0", "learning_rate"),
    ("budget.initial.learning_rate=nan", "learning_rate"),
    ("budget.initial.loss_on=words", "loss_on"),
    ("base_llm.lora.rank=-1", "rank"),
    ("base_llm.lora.dropout=1", "dropout"),
    ("base_llm.cutoff_tokens=0", "cutoff_tokens"),
    ("base_llm.quantise=nf8", "quantise"),
    ("base_llm.weights._target_=nowhere.Thing", "base_llm.weights"),
    ("base_llm.weights._target_=os.nothing", "base_llm.weights"),
    ("negatives._target_=sprec.negatives.Randm", "negatives"),
    ("negatives.count=0", "count"),
    ("negatives.count=many", "count"),
    ("objective.beta=0", "beta"),
    ("objective.beta=big", "beta"),
    ("+objective.epsilon=0.7", "epsilon"),
    ("+objective.gamma=1", "gamma"),
    ("+ranking.depth=1", "depth"),
    ("store.lock=none", "store.lock"),
    ("store.path=7", "store.path"),
    ("~embeddings", "embeddings"),
    ("~seed", "seed"),
    ("seed=[1,2", "[1,2"),
    ("=1", "=1"),
    ("seed=${nothing}", "nothing"),
    ("dataset=custom", "dataset.path"),
    ("dataset=released", "dataset.path"),
]


@pytest.fixture
def main(tmp_path, capsys, monkeypatch):
    """Return a caller of a command's `main` that gives its exit status and what it wrote."""
    monkeypatch.setenv("SPREC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def call(module, *words):
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [module.__name__, *words])
        try:
            status = module.main()
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return (1, out, f"{err}{status}\n") if isinstance(status, str) else (status, out, err)

    return call


@pytest.mark.parametrize(("words", "named"), COMMAND_LINES, ids=[words for words, _ in COMMAND_LINES])
def test_a_mistake_on_the_command_line_is_one_line_with_the_key_or_the_near_name(main, words, named):
    status, out, err = main(run, *BASE, f"hydra.run.dir={'run'}", *words.split())
    assert status == 1
    assert "Traceback" not in out + err
    assert len(err.splitlines()) == 1
    assert len(err) < 700
    assert named in err


DAMAGED = [b"", b"{", b"[]", b"\x00" * 64, b"null", b"\xff\xfe\x00", b"{}", b'"text"', b"1e999", b"[" * 5000]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:8]))
def test_a_damaged_record_is_one_line_with_its_file(main, tmp_path, content):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_bytes(content)
    for module, words in ((report, [str(folder)]), (recommend, ["--run", str(folder), "--history", "x"])):
        status, out, err = main(module, *words)
        assert status == 2
        assert "Traceback" not in out + err
        assert len(err.splitlines()) == 1
        assert "run.json" in err


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:8]))
def test_damaged_predictions_are_one_line_with_their_file(main, tmp_path, content):
    (tmp_path / "p.json").write_bytes(content)
    (tmp_path / "data").mkdir()
    status, out, err = main(score, str(tmp_path / "p.json"), "--data", str(tmp_path / "data"))
    assert status == 2
    assert "Traceback" not in out + err
    assert len(err.splitlines()) == 1


FILES = {
    "ratings.dat": b"1::2::3::4\n",
    "interactions.csv": b"user,item,time\n1,2,3\n",
    "items.csv": b"item,title,genres\n2,Heat,Crime\n",
    "u.data": b"1\t2\t3\t4\n",
    "u.item": b"1|Heat|1995\n",
}
RAW = [
    "custom",
    "goodreads",
    "cds_and_vinyl",
    "steam",
    "released",
    "movielens",
    "movielens_1m",
    "movielens_25m",
]


@pytest.mark.parametrize("name", RAW)
def test_damaged_raw_data_is_one_line_with_file_or_folder(tmp_path, name):
    randomness = random.Random(SEED)
    words = (f"dataset={name}", f"dataset.path={tmp_path / 'data'}")
    (tmp_path / "data").mkdir()
    for content in [None, *DAMAGED, randomness.randbytes(300), *FILES.values()]:
        for file in (*FILES, "train.csv", "ratings.csv", "movies.csv", "goodreads.json.gz", "steam.json.gz"):
            if content is not None:
                (tmp_path / "data" / file).write_bytes(content)
        settings = validate_settings(with_value(config(*words), ("store", "path"), str(tmp_path / "store")))
        with pytest.raises((ValueError, OSError)) as caught:
            load_or_build_dataset(build_components(settings))
        text = str(caught.value)
        assert "\n" not in text
        assert len(text) < 700
        assert re.search(r"data|dataset", text)


@pytest.fixture
def toy_record(main, tmp_path):
    """Return the document of a finished run without an LLM."""
    words = [*BASE, "method=most_popular", "budget.test_rows=5", f"hydra.run.dir={tmp_path / 'toy'}"]
    assert main(run, *words)[0] in (0, None)
    return json.loads((tmp_path / "toy" / "run.json").read_text())


def test_a_record_with_any_field_of_a_wrong_type_is_refused(main, tmp_path, toy_record):
    kinds = 0
    for path, value in list(leaves(toy_record)):
        if path[0] in ("config", "versions"):
            continue
        for wrong in ({"odd": 1}, [{"odd": 1}]):
            kinds += 1
            (tmp_path / "run.json").write_text(json.dumps(with_value(toy_record, path, wrong)))
            status, _, err = main(report, str(tmp_path / "run.json"))
            assert (status, len(err.splitlines())) == (2, 1), (path, wrong, value, err)
            assert "run.json" in err
    assert kinds >= 40
