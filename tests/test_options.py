"""Every option of every group runs, with its own defaults, on small input: none is offered that never ran."""

from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.data.readers.toy import toy_dataset
from sprec.experiment.config import validate_settings
from sprec.experiment.nodes import with_local_folder
from sprec.experiment.prepare import tokenizer_texts
from sprec.experiment.session import Session
from sprec.llm.base_models import TinyLlama
from sprec.run import CONF
from tests.data.conftest import world as world
from tests.data.readers import test_raw_datasets as raw
from tests.data.readers import test_released

TOY = ["dataset=toy", "base_llm=tiny", "tracker=silent", "trainer.threads=1", "budget.initial.epochs=2"]
SMALL = ["budget.sft_rows=192", "budget.iteration_rows=8", "budget.valid_rows=4", "budget.test_rows=4"]
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
RAW = {
    "movielens": raw.ml_100k,
    "movielens_1m": raw.ml_1m,
    "movielens_10m": raw.ml_10m,
    "movielens_25m": raw.ml_csv,
    "movielens_latest_small": raw.ml_csv,
    "goodreads": raw.goodreads,
    "steam": raw.steam,
    "cds_and_vinyl": raw.amazon(2018),
}


@pytest.fixture(autouse=True, scope="module")
def torch_as_before():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


def options(group, *left_out):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem not in left_out)


@cache
def small_iterations(count):
    return [*SMALL, f"budget.iterations={count}"]


def finished(folder, *words, small=()):
    """Run to the end and return the record."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = compose("config", [*TOY, *(small or small_iterations(1)), *words])
    container = OmegaConf.to_container(chosen, resolve=True)
    container.pop("sweep", None)
    record = Session(validate_settings(container), folder, command="python -m sprec.run HERE").run()
    assert record.status == "finished"
    assert record.evaluations[-1].n > 0
    return record


@pytest.mark.parametrize("name", options("method"))
def test_methods(sprec_home, tmp_path, name):
    assert finished(tmp_path, f"method={name}").evaluations[-1].scores["hr@5"] >= 0


@pytest.mark.parametrize("name", options("negatives"))
def test_negatives(sprec_home, tmp_path, name):
    stages = [stage.name for stage in finished(tmp_path, f"negatives={name}").stages]
    assert "negatives" in stages


@pytest.mark.parametrize("name", options("objective"))
def test_objectives(sprec_home, tmp_path, name):
    assert "dpo 1" in finished(tmp_path, f"objective={name}", "negatives=random").curves


@pytest.mark.parametrize("name", options("ranking"))
def test_rankings(sprec_home, tmp_path, name):
    quick = ["+ranking.collaborative.settings.epochs=1"] if name == "guided" else []
    record = finished(tmp_path, "method=sft", f"ranking={name}", *quick)
    assert record.evaluations[-1].ranking == name


@pytest.mark.parametrize("name", options("decoding"))
def test_decodings(sprec_home, tmp_path, name):
    assert finished(tmp_path, f"decoding={name}").negatives.lower().endswith(name)


@pytest.mark.parametrize("name", options("embeddings"))
def test_embeddings(sprec_home, tmp_path, name):
    finished(tmp_path, "method=sft", "ranking=grounded", f"embeddings={name}")


@pytest.mark.parametrize("name", options("engine"))
def test_engines(sprec_home, tmp_path, name):
    finished(tmp_path, f"engine={name}")


@pytest.mark.parametrize("name", options("tracker"))
def test_trackers(sprec_home, tmp_path, name, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers: it goes on offline
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    finished(tmp_path, "method=most_popular", f"tracker={name}")


@pytest.mark.parametrize("name", options("budget", "paper"))
def test_budgets_with_their_own_epochs_and_rates(sprec_home, tmp_path, name):
    finished(tmp_path, f"budget={name}", "negatives=random", small=SMALL)


@pytest.mark.long
def test_paper_budget_with_its_five_iterations(sprec_home, tmp_path):
    assert len(finished(tmp_path, "budget=paper", "negatives=random", small=SMALL).evaluations) == 7


@pytest.mark.parametrize(
    "name", [*options("trainer", "gpu", "fsdp", "ddp"), pytest.param("ddp", marks=pytest.mark.long)]
)
def test_trainers(sprec_home, tmp_path, name):
    finished(tmp_path, "method=sft", f"trainer={name}", "trainer.device=cpu")


@pytest.fixture(scope="module")
def local_model(tmp_path_factory):
    """Return the folder of a small model of random weights whose tokenizer has a chat template."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("model")
    TinyLlama("tiny", hidden=32, layers=2, heads=4, vocabulary=600).write(
        folder, tokenizer_texts(toy_dataset())
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", options("base_llm", "tiny", "smollm2_135m", "smollm2_360m"))
def test_base_llms_from_a_folder_with_their_own_adapters_and_cutoff(sprec_home, tmp_path, local_model, name):
    finished(tmp_path, "method=sft", f"base_llm={name}", f"base_llm.weights.source={local_model}")


@pytest.mark.parametrize("name", options("prompt"))
def test_prompts(sprec_home, tmp_path, local_model, name):
    model = ["base_llm=folder", f"base_llm.weights.source={local_model}"]
    finished(tmp_path, "method=sft", *model, f"prompt={name}")


@pytest.mark.parametrize("name", sorted(RAW))
def test_raw_datasets(sprec_home, tmp_path, world, name):
    genres = with_local_folder(raw.node(f"dataset={name}", f"dataset.path={tmp_path}"))["genres"]
    items = [(title, genres[i % len(genres)]) for i, title in enumerate(world.catalog.titles)]
    RAW[name](tmp_path, world, items)
    wide = ["dataset.filters.items_min=60"] if name == "cds_and_vinyl" else []  # the window needs 60 items
    words = [f"dataset={name}", f"dataset.path={tmp_path}", "method=most_popular", *wide]
    assert finished(tmp_path / "out", *words).dataset.items == len(items)


def test_custom_dataset(sprec_home, tmp_path):
    rows = [
        f"{user},{(user * 7 + time) % 30},{1_200_000_000 + time}" for user in range(40) for time in range(20)
    ]
    (tmp_path / "interactions.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    items = [f"{item},Title {item},Genre {item % 4}" for item in range(30)]
    (tmp_path / "items.csv").write_text("item,title,genres\n" + "\n".join(items) + "\n")
    words = ["dataset=custom", f"dataset.path={tmp_path}", "method=most_popular"]
    assert finished(tmp_path / "out", *words).dataset.items == 30


def test_released_dataset(sprec_home, tmp_path):
    titles = [f"Title {number}" for number in range(12)]
    rows = [
        test_released.row([titles[(first + step) % 12] for step in range(10)], titles[(first + 10) % 12])
        for first in range(12)
    ]
    folder = tmp_path / "rows"
    folder.mkdir()
    genres = {title: ["Odd" if number % 2 else "Even"] for number, title in enumerate(titles)}
    test_released.write(folder, rows, title_genres=genres)
    words = ["dataset=released", f"dataset.path={tmp_path / 'rows'}", "method=most_popular"]
    finished(tmp_path / "out", *words)


@pytest.mark.parametrize("name", options("experiment", "paper"))
def test_experiments(sprec_home, tmp_path, name):
    finished(tmp_path, f"+experiment={name}")
