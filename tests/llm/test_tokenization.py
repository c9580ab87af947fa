"""Each kind of tokenizer: boundaries, round trips, log-probabilities and stop rules of titles."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sprec.data.examples import Wording
from sprec.data.prompts import AnswerEnds, Prompt, PromptTemplates, read_title
from sprec.llm.tokenization import PromptTokenizer, StopRule, TitleState

TITLES = (
    *("Heat (1995)", "'Til There Was You (1997)", "...And Justice for All (1979)", "12 Monkeys (1995)"),
    *("Amélie (2001)", "8½ (1963)", "Se7en", "M*A*S*H", "What? No!", "</s> (1999)", "Ran", "(500) Days"),
)
WORDING = Wording("Recommend a film.", "The user has watched: ", "\n ")
PROMPT = Prompt(WORDING, titles=TITLES)
TEXTS = [PROMPT.text(TITLES[i : i + 3]) + PROMPT.answer(TITLES[i]) + "\n" for i in range(10)] * 5
SPECIAL = ["<unk>", "<s>", "</s>"]


def bpe(pre_tokenizer, decoder, *, normalizer=None, alphabet=(), size=420, **options):
    made = Tokenizer(models.BPE(unk_token="<unk>", **options))
    if normalizer is not None:
        made.normalizer = normalizer
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    made.decoder = decoder
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=list(alphabet), show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def byte_level(prefix=False, regex=True):
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    return bpe(level, decoders.ByteLevel(), alphabet=pre_tokenizers.ByteLevel.alphabet())


def merging_across_quotes():
    """As Llama 3's and Qwen's: a sign before letters belongs to their piece."""
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    from tokenizers import Regex

    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return bpe(split, decoders.ByteLevel(), alphabet=pre_tokenizers.ByteLevel.alphabet(), size=600)


def llama_2():
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer, made.decoder = normalizer, decoder
    pieces = [*SPECIAL, *(f"<0x{value:02X}>" for value in range(256))]
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=600, special_tokens=pieces, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


def unigram():
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=220, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def word_piece():
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(prefix="##")
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return made


def wrap(made, **special):
    return PreTrainedTokenizerFast(
        tokenizer_object=made, **{"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"} | special
    )


KINDS = {
    "byte-level": lambda: wrap(byte_level()),
    "byte-level, prefix space": lambda: wrap(byte_level(prefix=True)),
    "Llama 2": lambda: wrap(llama_2()),
    "unigram": lambda: wrap(unigram()),
    "WordPiece": lambda: wrap(word_piece()),
    "merging across quotes": lambda: wrap(merging_across_quotes()),
    "merging across everything": lambda: wrap(byte_level(regex=False)),
    "without BOS, EOS, pad": lambda: wrap(byte_level(), bos_token=None, eos_token=None),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param, PromptTokenizer(KINDS[request.param](), PROMPT, cutoff_tokens=512)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=700, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    return LlamaForCausalLM(config).eval()


def together(tokens, history, title):
    """Return the tokens of the whole text, which has no special token but at its start."""
    text = PROMPT.text(history) + PROMPT.answer(title)
    ids = tokens.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    start = 1 if tokens.tokenizer("a").input_ids[:1] == [1] else 0
    return (*([1] * start), *ids)


def test_apart_and_together_are_the_same_tokens(kind):
    _, tokens = kind
    for place, title in enumerate(TITLES):
        history = TITLES[place - 4 : place] if place >= 4 else TITLES[5:7]
        row = tokens.encode(history, [title])
        assert (*row.prompt, *row.answers[0]) == together(tokens, history, title)
        assert row.answers[0] == tokens.encode_answer(title)


def test_titles_come_back_or_are_counted(kind):
    name, tokens = kind
    lost = tokens.lost_titles()
    # WordPiece sets signs apart from words; a unigram model has its special tokens among its pieces
    assert lost == {"WordPiece": lost, "unigram": ["</s> (1999)"]}.get(name, [])
    assert len(lost) < len(TITLES) - 2
    kept = [title for title in TITLES if title not in lost]
    assert tokens.read_titles([tokens.encode_answer(title) for title in kept]) == kept
    assert tokens.longest_title == max(len(tokens.encode_answer(title)) for title in TITLES)


def test_log_probability_is_that_of_the_steps_that_write_the_title(kind, network):
    _, tokens = kind
    for title in TITLES[:6]:
        row = tokens.encode(TITLES[3:5], [title])
        whole = torch.tensor([[*row.prompt, *row.answers[0]]])
        with torch.no_grad():
            table = network(whole).logits[0].log_softmax(-1)
        size = len(row.prompt)
        scored = sum(float(table[size - 1 + i, token]) for i, token in enumerate(row.answers[0]))
        written, steps = list(row.prompt), 0.0
        for token in together(tokens, TITLES[3:5], title)[size:]:
            with torch.no_grad():
                steps += float(network(torch.tensor([written])).logits[0, -1].log_softmax(-1)[token])
            written.append(token)
        assert scored == pytest.approx(steps, abs=1e-4)


def test_writing_stops_at_the_last_token_of_each_title_and_reads_it(kind):
    _, tokens = kind
    rule = tokens.stop_rule(700, torch.device("cpu"))
    for title in set(TITLES) - {"</s> (1999)"}:
        answer, state = tokens.encode_answer(title), rule.start
        states = []
        for token in answer:
            state = TitleState(int(rule.table[state, token]))
            states.append(state)
        assert states[-1] is TitleState.ENDED
        assert TitleState.ENDED not in states[:-1]


@pytest.mark.parametrize("name", ["byte-level", "Llama 2", "merging across quotes"])
def test_any_token_that_holds_the_text_and_the_quote_ends_the_title(name):
    tokens = PromptTokenizer(KINDS[name](), PROMPT, cutoff_tokens=512)
    rule = tokens.stop_rule(700, torch.device("cpu"))
    quoted = [
        token
        for token in range(len(tokens.tokenizer))
        if '"' in tokens.tokenizer.decode([token]) and not tokens.tokenizer.decode([token]).startswith('"')
    ]
    closing = [token for token in quoted if tokens.tokenizer.decode([token]).startswith(")")]
    assert closing, "no token merges the closing quote with what precedes it"
    assert all(rule.table[TitleState.INSIDE, token] == TitleState.ENDED for token in quoted)
    apart = tokens.encode_answer("Heat (1995")[:-1]  # without its quote
    assert tokens.read_titles([[*apart, token] for token in closing]) == ["Heat (1995)"] * len(closing)


def test_special_tokens_in_titles_are_text_and_end_nothing():
    tokens = PromptTokenizer(KINDS["Llama 2"](), PROMPT, cutoff_tokens=512)
    row = tokens.encode(["</s> (1999)", "<s>"], ["</s> (1999)"])
    assert row.prompt[0] == 1
    assert not {1, 2} & {*row.prompt[1:], *row.answers[0]}
    assert tokens.tokenizer.decode(row.prompt[1:]) == PROMPT.text(["</s> (1999)", "<s>"])
    heat = tokens.encode_answer("Heat (1995)")
    assert tokens.read_titles([[*heat[:-1], 2], [*heat[:-1], 2, *heat]])[0].startswith("Heat (1995")


def test_frame_keeps_its_special_tokens_where_a_title_has_one():
    frame = Prompt(WORDING, PromptTemplates(inference="<s>{history}</s>\nNext: "), TITLES)
    tokens = PromptTokenizer(KINDS["byte-level"](), frame, cutoff_tokens=512)
    plain, special = tokens.encode(["Ran"]).prompt, tokens.encode(["</s> (1999)"]).prompt
    assert (plain.count(1), plain.count(2)) == (special.count(1), special.count(2)) == (1, 1)
    assert special[0] == 1


def test_start_is_what_the_tokenizer_itself_adds():
    plain = PromptTokenizer(KINDS["byte-level"](), PROMPT, cutoff_tokens=512)
    assert plain.encode(["Ran"]).prompt[0] != 1
    made = PromptTokenizer(KINDS["WordPiece"](), PROMPT, cutoff_tokens=512)
    prompt = made.encode(["Ran"]).prompt
    assert (prompt[0], prompt.count(1), prompt.count(2)) == (1, 1, 0)


def test_quote_moves_to_the_answer_where_titles_merge_with_it():
    merging = PromptTokenizer(KINDS["merging across quotes"](), PROMPT, cutoff_tokens=512)
    text = merging.tokenizer.decode(merging.encode(["Ran"], ["Heat (1995)"]).prompt)
    assert text == PROMPT.text(["Ran"])[:-1]
    assert merging.tokenizer.decode(merging.encode_answer("Heat (1995)")) == '"Heat (1995)"'
    plain = PromptTokenizer(KINDS["byte-level"](), Prompt(WORDING, titles=("Ran", "Heat")), cutoff_tokens=512)
    assert plain.tokenizer.decode(plain.encode(["Ran"]).prompt).endswith('"')


@pytest.mark.parametrize(
    ("end", "text"), [("quote", 'Ran"'), ("line_break", 'Ran"\n'), ("end_of_text", 'Ran"</s>')]
)
def test_answers_end_as_the_prompt_says_on_each_side(end, text):
    ends = AnswerEnds(rejected=end)
    prompt = Prompt(WORDING, PromptTemplates(answer_end=ends), ("Ran", "Heat"))
    tokens = PromptTokenizer(KINDS["byte-level"](), prompt, cutoff_tokens=512)
    chosen, rejected = tokens.encode(["Heat"], ["Ran", "Ran"]).answers
    assert tokens.tokenizer.decode(chosen) == 'Ran"'
    assert tokens.tokenizer.decode(rejected) == text
    assert tokens.read_titles([chosen, rejected]) == ["Ran", "Ran"]


def test_end_of_text_needs_such_a_token():
    prompt = Prompt(WORDING, PromptTemplates(answer_end=AnswerEnds("end_of_text")))
    with pytest.raises(ValueError, match=r"answer_end=end_of_text: .* has no end-of-text token; use"):
        PromptTokenizer(KINDS["without BOS, EOS, pad"](), prompt, cutoff_tokens=512)


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(
    "text", ['Heat"', '"Heat"', ' "Heat", "Ran', "Heat\nRan", '\n "He\nat"', 'It is "Ran".', "", "\n", '""']
)
def test_rule_stops_where_the_reader_has_its_title(text, opened):
    start = TitleState.INSIDE if opened else TitleState.BEFORE
    rule = StopRule.of(sorted(set(text) | {"x"}), frozenset(), start, torch.device("cpu"))
    pieces, state, written = sorted(set(text) | {"x"}), start, ""
    for letter in text:
        state = TitleState(int(rule.table[state, pieces.index(letter)]))
        written += letter
        if state is TitleState.ENDED:
            break
    assert read_title(written, opened=opened) == read_title(text, opened=opened)


def test_prompt_over_the_cutoff_loses_its_oldest_titles_and_is_counted():
    tokens = PromptTokenizer(KINDS["byte-level"](), PROMPT, cutoff_tokens=512)
    whole = tokens.encode(TITLES[:4]).prompt
    short = PromptTokenizer(tokens.tokenizer, PROMPT, cutoff_tokens=len(whole) - 3)
    assert short.encode(TITLES[:4]).prompt == tokens.encode(TITLES[1:4]).prompt
    assert short.truncated_prompts == 1
    short.reset_counts()
    assert short.truncated_prompts == 0
