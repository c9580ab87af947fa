"""Chat templates of base LLMs, and tokenizers that lack a token which others have."""

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sprec.data.examples import Wording
from sprec.data.prompts import ChatLayout, Prompt
from sprec.llm.chat_template import apply_chat_template
from sprec.llm.language_model import LanguageModel

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<bot {{ date_string }}>{% endif %}"
)


@pytest.fixture
def tokenizer(tmp_path):
    """Build and save a byte-level tokenizer with these special tokens and this chat template."""

    def build(template=None, **special):
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        made = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        fast = PreTrainedTokenizerFast(tokenizer_object=made, **special)
        fast.chat_template = template
        fast.save_pretrained(tmp_path)
        return fast

    return build


def encode(tokenizer, prompt, cutoff_tokens=512):
    """Return what a recommender with this tokenizer reads: text and answers as text."""
    model = object.__new__(LanguageModel)
    model.tokenizer, model.prompt, model.cutoff_tokens, model.truncated_prompts = (
        tokenizer,
        prompt,
        cutoff_tokens,
        0,
    )
    model.device = "cpu"
    model.base_model = SimpleNamespace(config=SimpleNamespace(vocab_size=len(tokenizer)))
    row = model.encode(["Ran"], ["Heat"])
    return model, tokenizer.decode(row.prompt), tokenizer.decode(row.answers[0])


def test_message_stands_in_the_template_before_the_generation_prompt(tokenizer, tmp_path):
    tokenizer(TEMPLATE, bos_token="<s>")
    assert apply_chat_template("Hi", folder=tmp_path, name="x") == "<s><user>Hi\n<bot 26 Jul 2024>"


def test_llm_without_a_chat_template_is_named_with_the_remedy(tokenizer, tmp_path):
    tokenizer()
    with pytest.raises(ValueError, match=r"base_llm=plain has no chat template; use prompt=alpaca or"):
        apply_chat_template("Hi", folder=tmp_path, name="plain")


def test_beginning_of_text_stands_once_whether_or_not_the_template_has_it(tokenizer, tmp_path):
    made = tokenizer(TEMPLATE, bos_token="<s>")
    wording = Wording("Recommend.", "Seen: ")
    chat = Prompt(
        wording, ChatLayout().for_chat(lambda text: apply_chat_template(text, folder=tmp_path, name="x"))
    )
    _, text, answer = encode(made, chat)
    assert text == '<s><user>Recommend.\nSeen: "Ran"\n<bot 26 Jul 2024>"'
    assert answer == 'Heat"'
    assert encode(made, Prompt(wording))[1].startswith("<s>Below is an instruction")


@pytest.mark.parametrize("special", [{}, {"eos_token": "</s>"}, {"bos_token": "<s>", "pad_token": "<p>"}])
def test_tokenizers_without_padding_beginning_or_end_are_read(tokenizer, special):
    model, text, answer = encode(tokenizer(None, **special), Prompt(Wording("Recommend.", "Seen: ")))
    assert text.startswith(f"{special.get('bos_token', '')}Below is an instruction")
    assert text.endswith('### Response:\n"')
    assert answer == 'Heat"'
    quote = model.tokenizer('"').input_ids[0]
    assert bool(model.stop_tokens[quote])
    assert not bool(model.stop_tokens[model.tokenizer("H").input_ids[0]])
    assert int(model.stop_tokens.sum()) == 2 + ("eos_token" in special)
