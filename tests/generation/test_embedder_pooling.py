"""What a sentence encoder's vectors are: each title's own tokens, averaged, of length 1."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from sprec.data.download.sources import Folder
from sprec.generation.grounding import SentenceModel, batch_equal_lengths, ground_titles

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "ran", "a", "very", "long", "title", "indeed", "seven")
LONG = "A very long title indeed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("encoder")
    (place / "model").mkdir()
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokens = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=12, **tokens)
    tokenizer.save_pretrained(place / "model")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, initializer_range=0.2, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BertModel(config)
        torch.nn.init.normal_(network.embeddings.word_embeddings.weight)  # so that words differ
        network.save_pretrained(place / "model")
    return place


@pytest.fixture(scope="module")
def encoder(folder):
    return SentenceModel(Folder(folder), "model")


def by_hand(folder, title):
    """Return the mean of the title's own hidden states over its length, from a pass without padding."""
    ids = [1, *(WORDS.index(word) for word in title.lower().split()), 2]
    network = BertModel.from_pretrained(folder / "model").eval()
    with torch.no_grad():
        hidden = network(torch.tensor([ids])).last_hidden_state[0]
    mean = hidden.mean(0)
    assert float(mean.norm()) != pytest.approx(1.0, abs=0.1)
    assert not torch.allclose(hidden[0] / hidden[0].norm(), mean / mean.norm(), atol=0.1)
    return (mean / mean.norm()).numpy()


def test_a_title_has_the_same_vector_beside_a_longer_one(encoder):
    alone, beside = encoder.embed(["Ran"]), encoder.embed(["Ran", LONG])
    np.testing.assert_allclose(beside[0], alone[0], atol=1e-5)
    assert not np.allclose(beside[1], alone[0], atol=0.1)


def test_a_vector_is_the_mean_of_the_titles_own_hidden_states_over_its_length(encoder, folder):
    titles = ["Ran", LONG, "Seven"]
    expected = [by_hand(folder, title) for title in titles]
    np.testing.assert_allclose(encoder.embed(titles), expected, atol=1e-5)


def test_vectors_have_length_1_and_are_float32(encoder):
    vectors = encoder.embed(["Ran", LONG, "Seven", ""])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_a_title_longer_than_the_encoder_reads_is_cut(encoder):
    longer, cut = encoder.embed([" ".join(["very"] * 40), " ".join(["very"] * 10)])
    np.testing.assert_allclose(longer, cut, atol=1e-5)


def test_titles_of_several_batches_stay_in_order(encoder):
    vectors = encoder.embed(["Ran"] * 256 + [LONG, "Seven"])
    np.testing.assert_allclose(
        vectors[[0, 255, 256, 257]], encoder.embed(["Ran", "Ran", LONG, "Seven"]), atol=1e-5
    )


def test_titles_of_the_same_tokens_are_read_once_and_without_padding(encoder, monkeypatch):
    """Rounding follows a batch's padding: read twice, two titles that differ in case would not tie."""
    read = []
    forward = BertModel.forward

    def watched(self, input_ids, **options):
        read.extend(input_ids.tolist())
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(BertModel, "forward", watched)
    titles = ["A very long title"] + [LONG] * 300 + ["a VERY long title"]
    vectors = encoder.embed(titles)
    assert read == [[1, 5, 6, 7, 8, 2], [1, 5, 6, 7, 8, 9, 2]]
    assert (vectors[0] == vectors[-1]).all()
    assert len({vector.tobytes() for vector in vectors}) == 2


def test_of_titles_with_the_same_tokens_the_lower_id_is_nearer_whatever_others_write(encoder):
    titles = ["A very long title", LONG, *(f"{word} seven" for word in WORDS[4:10]), "a VERY long title"]
    alone = ground_titles(["A VERY LONG TITLE"], encoder, titles, k=2).tolist()
    beside = ground_titles(["A VERY LONG TITLE", LONG, "Ran"], encoder, titles, k=2).tolist()
    assert (alone[0], beside[0]) == ([0, 8], [0, 8])


def test_batches_are_of_one_length_and_of_256_titles_at_most():
    sequences = [(i, 0) for i in range(300)] + [(1,), (1,), (7, 0)]
    batches = batch_equal_lengths(sequences)
    assert [(len(batch), len(batch[0])) for batch in batches] == [(1, 1), (256, 2), (44, 2)]
