import pytest
import torch

from sprec.llm.engines.fast import attention
from sprec.llm.engines.fast.attention import (
    UnsupportedAttentionError,
    _attend,
    attending,
    fused_attention,
    packed_attention,
)
from sprec.llm.engines.fast.packed_batch import PackedBatch, additive_mask
from sprec.llm.engines.fast.shared_prompt_batch import PADDING, collate
from tests.llm.architectures import build, load, reference_logits, tokenizer_for


@pytest.mark.parametrize("causal", [True, False])
def test_fused_kernels_attend_as_products_and_softmax_do(causal):
    torch.manual_seed(0)
    query = torch.randn(2, 6, 5, 8)
    key, value = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8)
    seen = torch.ones(5, 5, dtype=torch.bool).tril() if causal else torch.rand(2, 1, 5, 5) < 0.7
    seen = seen | torch.eye(5, dtype=torch.bool)
    plain = _attend(query, key, value, additive_mask(seen, query.dtype), 0.0)
    quick = fused_attention(query, key, value, None if causal else additive_mask(seen, query.dtype), 0.0)
    torch.testing.assert_close(quick, plain, atol=1e-5, rtol=1e-5)


def test_packed_rows_have_the_same_scores_and_gradients_with_fused_kernels(make, catalog, monkeypatch):
    model = make(4)
    rows = [model.encode(catalog.titles[i : i + 3], catalog.titles[20 + i : 22 + i]) for i in range(4)]

    def results():
        model.network.zero_grad()
        scores = model.log_probs(rows)
        scores.square().sum().backward()
        return [scores.detach(), *(w.grad.clone() for w in model.network.parameters() if w.requires_grad)]

    expected = results()
    monkeypatch.setattr(attention, "_attend", fused_attention)

    def causal(query, key, value, dropout):
        return fused_attention(query, key, value, None, dropout)

    monkeypatch.setattr(attention, "_attend_causal", causal)
    torch.testing.assert_close(results(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("titles", [1, 2, 3])
def test_scores_stand_in_lines_of_32_whatever_the_prompts_are(make, catalog, titles):
    rows = [make(4).encode(catalog.titles[i : i + titles + i], catalog.titles[:2]) for i in range(3)]
    batch = collate(rows)
    packed_batch = PackedBatch.of(batch, torch.float32)
    assert (
        packed_batch.bias.shape[-1]
        == packed_batch.real.shape[-1]
        == len(batch.prefix) + packed_batch.padded.shape[1]
    )
    assert packed_batch.bias.shape[-1] % 32 == 0
    tokens = (batch.segments != PADDING).sum(1) + len(batch.prefix)
    assert packed_batch.real.sum(1).tolist() == tokens.tolist()


def packed_call(model, catalog, **options):
    """Call the function as a layer of the model would, in a pass over one row."""
    batch = collate([model.encode(catalog.titles[:3], catalog.titles[5:6])])
    packed = PackedBatch.of(batch, torch.float32)
    states = torch.randn(1, 4, packed.prefix + len(packed.places) + packed.idle, 8)
    with attending(model.base_model.config, packed):
        return packed_attention(model.base_model.model.layers[0].self_attn, *[states] * 3, None, **options)


@pytest.mark.parametrize("options", [{"softcap": 30.0}, {"s_aux": torch.zeros(4)}, {"sliding_window": 20}])
def test_what_would_change_attention_and_is_not_computed_is_an_error(make, catalog, options):
    with pytest.raises(UnsupportedAttentionError, match=rf"LlamaAttention asks for {next(iter(options))} ="):
        packed_call(make(4), catalog, **options)


def test_windows_that_no_row_reaches_and_empty_options_change_nothing(make, catalog):
    torch.manual_seed(0)
    expected, _ = packed_call(make(4), catalog)
    torch.manual_seed(0)
    attended, _ = packed_call(make(4), catalog, sliding_window=4096, softcap=None)
    assert torch.equal(attended, expected)


def test_outside_of_a_pass_the_model_attends_as_transformers_has_it(make, catalog):
    model = make(4)
    before = model.base_model.config._attn_implementation
    model.log_probs([model.encode(catalog.titles[:3], catalog.titles[5:6])])
    assert model.base_model.config._attn_implementation == before != "sprec_packed"


@pytest.mark.parametrize(("window", "fits"), [(3, True), (2, False)])
def test_a_window_counts_all_tokens_that_a_forced_tail_reads_at_once(window, fits, tmp_path):
    build("mistral", tokenizer_for(tmp_path / "tokenizer"), tmp_path / "model")
    model = load(tmp_path / "model", "fast", cached=True)
    prompt = (5, 6, 7, 8, 9)
    # The prompt, and the tail's tokens: the last of them sees this many.
    model.base_model.config.sliding_window = len(prompt) + window
    state, _ = model.prefill([prompt])
    tokens, labels = torch.tensor([[10, 11, 12]]), torch.tensor([11, 12, 13])
    real = torch.ones_like(tokens, dtype=torch.bool)
    if not fits:
        with pytest.raises(UnsupportedAttentionError, match="sliding_window = 7"):
            state.tail_log_probs(tokens, real, labels)
        return
    scores = state.tail_log_probs(tokens, real, labels)
    expected = reference_logits(model, [*prompt, 10, 11, 12])[len(prompt) :].log_softmax(-1)
    torch.testing.assert_close(scores, expected[range(3), labels], atol=1e-4, rtol=0)
