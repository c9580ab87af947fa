"""What a CUDA device must do as the CPU does; skipped where there is none."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from sprec.generation.decoding import Greedy, search_titles, write_titles
from sprec.generation.title_trie import TitleTrie

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


@pytest.fixture(scope="module", autouse=True)
def exact_products():
    """Keep float32 products from being rounded to TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def pair(make, *, bf16=False):
    """Return a tuned model on the CPU in float32, and the same on the device."""
    models = make(4), make(4, device="cuda", bf16=bf16)
    for model in models:
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in model.tuned_weights().values():
                weight.add_((0.05 * torch.randn(weight.shape, generator=draw)).to(weight.device))
    return models


def rows_of(model, catalog):
    return [
        model.encode(catalog.titles[i : i + 2 + i % 3], catalog.titles[20 + i : 23 + i]) for i in range(4)
    ]


def scored(model, rows):
    model.network.zero_grad()
    scores = model.log_probs(rows)
    scores.sum().backward()
    grads = [weight.grad.cpu() for weight in model.network.parameters() if weight.requires_grad]
    return scores.detach().cpu(), grads


def test_float32_log_probs_and_gradients_are_the_cpus(make, catalog):
    host, device = pair(make)
    expected, got = (scored(model, rows_of(host, catalog)) for model in (host, device))
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


def test_bf16_log_probs_are_the_cpus_to_its_rounding_and_fused_kernels_have_them(make, catalog):
    host, device = pair(make, bf16=True)
    rows = rows_of(host, catalog)
    expected, _ = scored(host, rows)
    with sdpa_kernel(FUSED):
        got, _ = scored(device, rows)
    torch.testing.assert_close(got, expected, atol=0.5, rtol=0.02)


def test_titles_and_beams_are_the_cpus(make, catalog):
    host, device = pair(make)
    prompts = [row.prompt for row in rows_of(host, catalog)]
    titles = [
        write_titles(model, prompts, Greedy(), np.random.default_rng(0), max_tokens=6, batch_tokens=1000)
        for model in (host, device)
    ]
    assert titles[0] == titles[1]
    trie = TitleTrie.of([host.encode_answer(title) for title in catalog.titles])
    found = [search_titles(model, prompts, trie, k=3, batch_tokens=1000) for model in (host, device)]
    assert found[0][0].tolist() == found[1][0].tolist()
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-2)


def test_checkpointing_has_the_same_gradients_in_less_memory(make, catalog):
    _, plain = pair(make)
    _, frugal = pair(make)
    frugal.engine.checkpoint_activations()
    rows = rows_of(plain, catalog) * 20
    results, peaks = [], []
    for model in (plain, frugal):
        model.network.train()
        torch.cuda.reset_peak_memory_stats()
        results.append(scored(model, rows))
        peaks.append(torch.cuda.max_memory_allocated())
    torch.testing.assert_close(results[1], results[0], atol=1e-3, rtol=1e-3)
    assert peaks[1] < peaks[0]


def test_whole_run_on_the_device(tmp_path):
    options = ["dataset=toy", "base_llm=tiny", "budget=tiny", "trainer=gpu", "tracker=silent"]
    small = ["budget.test_rows=20", "budget.iterations=1"]  # with fewer rows the model writes no title at all
    places = [f"store.path={tmp_path}/stages", f"hydra.run.dir={tmp_path}/out"]
    subprocess.run([sys.executable, "-m", "sprec.run", *options, *small, *places], check=True)
    assert (tmp_path / "out" / "run.json").is_file()
