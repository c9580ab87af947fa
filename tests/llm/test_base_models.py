import json

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from sprec.llm import base_models
from sprec.llm.base_models import Pretrained, TinyLlama
from sprec.llm.engines.choice import choose_engine
from tests.llm.architectures import SIZES, build, load, tokenizer_for

VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PIXELS = {"image_size": 28, "patch_size": 14}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tokenizer_for(tmp_path_factory.mktemp("tokenizer"))


def save(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def text_sizes(tokenizer):
    return {**SIZES, "head_dim": 16, "vocab_size": len(tokenizer)}


def written(source, folder):
    """Return the base LLM that a run would read."""
    Pretrained("local", source).write(folder, [])
    return AutoModelForCausalLM.from_pretrained(folder)


def test_any_local_folder_is_a_base_llm(tokenizer, tmp_path):
    build("granite", tokenizer, tmp_path / "source")
    model = written(str(tmp_path / "source"), tmp_path / "base")
    tokens = torch.tensor([[5, 6, 7, 8]])
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "source")(tokens).logits
    assert torch.equal(model(tokens).logits, expected)


@pytest.mark.parametrize("name", ["Gemma3", "Llava"])
def test_wrappers_that_see_give_their_text_part(name, tokenizer, tmp_path):
    text = text_sizes(tokenizer)
    configs = {
        "Gemma3": {"text_config": text, "vision_config": {**VISION, **PIXELS}},
        "Llava": {
            "text_config": {"model_type": "llama", **text},
            "vision_config": {"model_type": "clip_vision_model", **VISION, **PIXELS},
            "image_token_index": 9,
        },
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**configs[name])
    wrapper = getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()
    model = written(save(wrapper, tokenizer, tmp_path / "source"), tmp_path / "base")
    tokens = torch.tensor([[5, 6, 7, 8]])
    assert type(model).__name__ == {"Gemma3": "Gemma3ForCausalLM", "Llava": "LlamaForCausalLM"}[name]
    torch.testing.assert_close(model(tokens).logits, wrapper(input_ids=tokens).logits)


def test_models_that_do_not_write_are_refused_in_one_line(tokenizer, tmp_path):
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_ff=32, num_layers=1, num_heads=2, d_kv=16
    )
    source = save(transformers.T5ForConditionalGeneration(config), tokenizer, tmp_path / "source")
    with pytest.raises(
        ValueError, match=r"cannot be loaded \(t5 is an encoder-decoder\); set base_llm\.w"
    ) as e:
        written(source, tmp_path / "base")
    assert "\n" not in str(e.value)


def test_weights_that_a_folder_lacks_are_named(tokenizer, tmp_path):
    build("llama", tokenizer, tmp_path / "source")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "source")
    config.num_hidden_layers = 3
    config.save_pretrained(tmp_path / "source")
    with pytest.raises(ValueError, match=r"lacks 9 weights of a LlamaForCausalLM, such as model\.layers\.2"):
        written(str(tmp_path / "source"), tmp_path / "base")


def test_folders_must_be_there(tmp_path):
    with pytest.raises(ValueError, match="base LLM '/nowhere/at/all' cannot be loaded"):
        Pretrained("folder", "/nowhere/at/all").write(tmp_path / "base", [])


def test_a_hub_model_counts_by_its_commit_and_is_read_at_it(tokenizer, tmp_path, monkeypatch):
    """A branch moves on, and another machine may have an older one."""
    heads = iter(["a" * 40, "b" * 40])
    place = "/cache/models--org--model/snapshots/{}/config.json"
    monkeypatch.setattr("transformers.utils.hub.cached_file", lambda *_, **how: place.format(next(heads)))
    digests = [Pretrained("m", "org/model").digest([]) for _ in range(2)]
    assert digests[0] != digests[1]
    pinned = Pretrained("m", "org/model", revision="b" * 40)  # asks nobody
    assert pinned.digest([]) == digests[1]
    asked = []

    def read(place, options):
        asked.append((place, options["revision"]))
        raise OSError("no network")

    monkeypatch.setattr(base_models, "_load_causal_lm", read)
    with pytest.raises(ValueError, match="'org/model' cannot be loaded"):
        pinned.write(tmp_path / "base", [])
    assert asked == [("org/model", "b" * 40)]


def test_a_revision_that_nobody_knows_is_one_line(monkeypatch):
    def unknown(*_, **how):
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr("transformers.utils.hub.cached_file", unknown)
    with pytest.raises(ValueError, match=r"couldn't connect.*weights.revision to a commit of it") as e:
        Pretrained("m", "org/model").digest([])
    assert "\n" not in str(e.value)


def test_models_that_read_ahead_are_refused(tokenizer, tmp_path):
    sizes = {**VISION, "vocab_size": len(tokenizer), "initializer_range": 0.5}
    source = save(transformers.BertForMaskedLM(transformers.BertConfig(**sizes)), tokenizer, tmp_path / "a")
    written(source, tmp_path / "base")
    model = load(tmp_path / "base", "plain", cached=False)
    with pytest.raises(ValueError, match="bert reads tokens that come later; choose a causal language model"):
        choose_engine("auto", model.base_model, cutoff_tokens=64)


def test_settings_of_generation_that_change_what_is_written_are_left_behind(tmp_path):
    """Stock `generate` would write other titles with them than the run, which reads none of them."""
    TinyLlama("tiny", hidden=16, layers=1, heads=2, vocabulary=300).write(tmp_path / "base", ["Heat"])
    settings = {"repetition_penalty": 1.1, "temperature": 0.7, "do_sample": True, "eos_token_id": [2, 5]}
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps(settings))
    Pretrained("x", str(tmp_path / "base")).write(tmp_path / "copy", [])
    written = json.loads((tmp_path / "copy" / "generation_config.json").read_text())
    assert written.pop("eos_token_id") == [2, 5]
    assert not {"repetition_penalty", "temperature", "do_sample"} & {k for k, v in written.items() if v}
