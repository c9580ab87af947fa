import importlib.util
import logging

import pytest
import torch

from sprec.llm import precision
from sprec.llm.adapters import Lora, merged_adapters
from sprec.llm.language_model import LanguageModel
from sprec.llm.precision import Precision, has_bf16, quantization_options, resolve_precision

CUDA = {"device": "cuda:0", "rank": 16}


@pytest.fixture
def quantiser(monkeypatch):
    """Say whether the package is there."""
    find = importlib.util.find_spec
    return lambda there: monkeypatch.setattr(
        "sprec.llm.precision.find_spec",
        lambda name: (there or None) if name == "bitsandbytes" else find(name),
    )


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Say what Linux tells of the processor, None where it tells nothing."""
    precision._processor_flags.cache_clear()

    def tell(text):
        if text is not None:
            (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")

    yield tell
    precision._processor_flags.cache_clear()


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("model name\t: one\nflags\t\t: fpu avx512f avx512_bf16 amx\n\nflags\t\t: fpu\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("flags\t\t: fpu avx512f avx512_bf16_alike\n", False),
        ("Features\t: fp asimd bf16\n", False),
        (None, False),
    ],
)
def test_units_for_bfloat16_are_read_from_the_processors_flags(processor, text, units):
    processor(text)
    assert has_bf16("cpu") is units


def test_flags_say_what_torch_finds_on_this_processor():
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = [probe() for name in probes if (probe := getattr(torch.cpu, name, None))]
    assert not found or has_bf16("cpu") is any(found)


@pytest.mark.parametrize(
    ("units", "products", "warned"), [(False, "bf16", 1), (True, "bf16", 0), (False, "auto", 0)]
)
def test_bfloat16_in_software_is_warned_of(monkeypatch, caplog, units, products, warned):
    monkeypatch.setattr("sprec.llm.precision.has_bf16", lambda device: units)
    resolve_precision(products, "none", "same", device="cpu", rank=16)
    assert caplog.text.count("trainer.precision=auto takes float32 here") == warned


@pytest.mark.parametrize(
    ("options", "where", "expected"),
    [
        (("bf16", "none", "same"), CUDA, Precision(True)),
        (("bf16", "nf4", "same"), CUDA, Precision(True, nf4=True)),
        (("bf16", "auto", "auto"), CUDA, Precision(True, nf4=True, fp16=True)),
        (("bf16", "auto", "auto"), {"device": "cpu", "rank": 16}, Precision(True)),
        (("float32", "none", "fp16"), {"device": "cpu", "rank": 16}, Precision(False, fp16=True)),
        (("bf16", "auto", "auto"), {"device": "cuda:0", "rank": 0}, Precision(False)),
        (("auto", "none", "fp16"), {"device": "cuda:0", "rank": 0}, Precision(False)),
    ],
)
def test_options_come_to_what_the_device_has(quantiser, options, where, expected):
    quantiser(True)
    assert resolve_precision(*options, **where) == expected


@pytest.mark.parametrize(
    ("there", "where", "reason"),
    [
        (True, {"device": "cpu", "rank": 16}, "no CUDA device"),
        (False, CUDA, "no bitsandbytes"),
        (True, {"device": "cuda", "rank": 0}, "base_llm.lora.rank is 0"),
    ],
)
def test_four_bits_that_cannot_be_had_are_one_line_and_auto_logs_it(quantiser, caplog, there, where, reason):
    quantiser(there)
    with pytest.raises(
        ValueError, match=rf"quantise=nf4 needs a CUDA device.*{reason}.*use .*=auto, or none"
    ):
        resolve_precision("bf16", "nf4", "same", **where)
    with caplog.at_level(logging.INFO):
        assert not resolve_precision("bf16", "auto", "same", **where).nf4
    assert reason in caplog.text


def test_a_record_names_every_format():
    assert str(Precision(False)) == "float32"
    assert str(Precision(True, nf4=True, fp16=True)) == "bf16 on nf4 inference in fp16"


def test_four_bit_weights_are_the_released_kind():
    assert quantization_options(nf4=False, device="cuda") == {}
    options = quantization_options(nf4=True, device="cuda:1")
    chosen = options["quantization_config"]
    assert options["device_map"] == {"": "cuda:1"}
    assert (chosen.load_in_4bit, chosen.bnb_4bit_quant_type) == (True, "nf4")
    assert (chosen.bnb_4bit_compute_dtype, chosen.bnb_4bit_use_double_quant) == (torch.bfloat16, False)


def test_the_copy_that_reads_in_fp16_takes_tuned_weights_and_scores_alike(make, catalog, tmp_path):
    tuned = make(4)
    with torch.no_grad():
        for weight in tuned.tuned_weights().values():
            weight.add_(0.05 * torch.randn_like(weight))
    tuned.save(tmp_path)
    half = LanguageModel(
        tuned.tokenizer.name_or_path,
        tuned.prompt,
        lora=Lora(rank=4, alpha=8, dropout=0.0),
        bf16=False,
        device="cpu",
        cutoff_tokens=512,
        seed=0,
        fp16=True,
    ).load(tmp_path)
    row = [tuned.encode(catalog.titles[:3], catalog.titles[5:7])]
    with torch.no_grad(), merged_adapters(half.network):
        scores = half.log_probs(row)
    assert {weight.dtype for weight in half.base_model.model.embed_tokens.parameters()} == {torch.float16}
    assert {weight.dtype for weight in half.tuned_weights().values()} == {torch.float32}
    torch.testing.assert_close(scores, tuned.log_probs(row), atol=0.1, rtol=0)
