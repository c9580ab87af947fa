"""Chat templates of base LLMs, and tokenizers that lack a token which others have."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sprec.data.examples import Wording
from sprec.data.prompts import ChatLayout, Prompt
from sprec.llm.chat_template import apply_chat_template
from sprec.llm.tokenization import PromptTokenizer

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


def encode(tokenizer, prompt):
    """Return a prompt tokenizer, and what it reads: text and answer as text."""
    tokens = PromptTokenizer(tokenizer, prompt, cutoff_tokens=512)
    row = tokens.encode(["Ran"], ["Heat"])
    return tokens, tokenizer.decode(row.prompt), tokenizer.decode(row.answers[0])


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
    # named but not added by the tokenizer itself
    assert encode(made, Prompt(wording))[1].startswith("Below is an instruction")


@pytest.mark.parametrize("special", [{}, {"eos_token": "</s>"}, {"bos_token": "<s>", "pad_token": "<p>"}])
def test_tokenizers_without_padding_beginning_or_end_are_read(tokenizer, special):
    tokens, text, answer = encode(tokenizer(None, **special), Prompt(Wording("Recommend.", "Seen: ")))
    assert text.startswith("Below is an instruction")
    assert text.endswith('### Response:\n"')
    assert answer == 'Heat"'
    quote = tokens.tokenizer('"').input_ids[0]
    stops = tokens.stop_tokens(len(tokens.tokenizer))
    assert quote in stops
    assert tokens.tokenizer("H").input_ids[0] not in stops
    assert len(stops) == 2 + len(special)
