"""The exact text of each kind of prompt in each step."""

import gzip
import json
from pathlib import Path

import pytest
import yaml

from sprec.data.examples import Wording
from sprec.data.prompts import (
    ALPACA_TEMPLATES,
    AnswerEnds,
    ChatLayout,
    Prompt,
    PromptTemplates,
    one_text,
    released_templates,
)

ROOT = Path(__file__).parents[2]
WORDING = Wording("Recommend a movie.", "The user has watched: ", "\n ")
STEPS = ("sft", "dpo", "inference")
FIRST = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
ALPACA = (
    f"{FIRST}\n\n"
    "### Instruction:\nRecommend a movie.\n\n"
    '### Input:\nThe user has watched: "Ran", "Heat, The"\n \n\n'
    '### Response:\n"'
)
INDENTED = (
    f"{FIRST}\n                \n"
    "                ### Instruction:\n                Recommend a movie.\n                \n"
    '                ### Input:\n                The user has watched: "Ran", "Heat, The"\n \n'
    "                \n"
    '                ### Response:\n                "'
)
SPACED = (
    f"{FIRST}  \n\n"
    "### Instruction:\nRecommend a movie.\n\n"
    '### Input:\nThe user has watched: "Ran", "Heat, The"\n \n\n'
    '### Response:\n                "'
)
BARE = 'Recommend a movie.The user has watched: "Ran", "Heat, The"\n "'
CHAT = '<{user}>Recommend a movie.\nThe user has watched: "Ran", "Heat, The"\n <end>\n<bot>\n"'


def chat(message):
    return f"<{{user}}>{message}<end>\n<bot>\n"


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (ALPACA_TEMPLATES, (ALPACA, ALPACA, ALPACA)),
        (released_templates(), (INDENTED, BARE, SPACED)),
        (ChatLayout(), (CHAT, CHAT, CHAT)),
        (PromptTemplates(dpo="{history}: "), (ALPACA, '"Ran", "Heat, The": "', ALPACA)),
    ],
    ids=["alpaca", "released", "chat", "own"],
)
def test_text_of_each_step(layout, expected):
    prompt = Prompt(WORDING, layout.for_chat(chat))
    assert tuple(prompt.text(["Ran", "Heat, The"], step) for step in STEPS) == expected


def test_a_prompt_is_alpacas_and_for_reading_unless_told():
    assert Prompt(WORDING).text(["Ran", "Heat, The"]) == ALPACA


def test_braces_of_titles_and_wording_stay():
    text = Prompt(Wording("{a}", "{b}"), PromptTemplates(dpo="{instruction}{lead}{history}")).text(
        ["{c}"], "dpo"
    )
    assert text == '{a}{b}"{c}""'


def test_a_brace_of_the_text_may_touch_the_field():
    prompt = Prompt(Wording("i", "l"), PromptTemplates(dpo="{{{history}}} {{history}}"))
    assert prompt.text(["Ran"], "dpo") == '{"Ran"} {history}"'


def test_one_text_serves_every_step_and_may_come_from_a_file(tmp_path):
    text = "{instruction} Seen: {history}.\n{{Next}}: "
    (tmp_path / "prompt.txt").write_text(text, encoding="utf-8")
    expected = 'Recommend a movie. Seen: "Ran", "Heat".\n{Next}: "'
    for layout in (one_text(text), one_text("unused", file=str(tmp_path / "prompt.txt"))):
        prompt = Prompt(WORDING, layout)
        assert {prompt.text(["Ran", "Heat"], step) for step in STEPS} == {expected}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Next: ", r"prompt\.text holds \{history\} 0 times; put it there once"),
        ("{history} {history}", r"prompt\.text holds \{history\} 2 times"),
        ("{history} {titles}", r"prompt\.text has the field \{titles\}; use \{close\}, \{history\}"),
        ("{history:>9}", r"prompt\.text gives a field a format; write the bare name"),
        ("{instruction!r} {history}", r"prompt\.text gives a field a format"),
        ("{history} {", r"prompt\.text: .*; write \{\{ and \}\} for braces"),
        (
            r"{instruction}\n{history}",
            r"text holds \\n as two characters, .*; write line breaks .*prompt\.file",
        ),
        (r"{instruction}\t{history}", r"text holds \\t as two characters"),
    ],
)
def test_text_is_checked_when_it_is_composed(text, line):
    with pytest.raises(ValueError, match=line):
        one_text(text)


def test_line_breaks_typed_as_two_characters_are_refused_for_each_step_and_for_chats():
    with pytest.raises(ValueError, match=r"prompt\.dpo holds \\n as two characters"):
        PromptTemplates(dpo=r"{instruction}\n{history}")
    with pytest.raises(ValueError, match=r"prompt\.message holds \\n as two characters"):
        ChatLayout(r"{instruction}\n{history}")
    assert one_text("In \\text{{LaTeX}}:\n{history}").sft.startswith("In \\text")


def test_a_chat_template_that_holds_the_word_message_keeps_the_users_text():
    def with_word(message):
        return f"<SYSTEM MESSAGE>Be brief.<USER MESSAGE>{message}<BOT MESSAGE>"

    template = ChatLayout("{instruction} {history}").for_chat(with_word).sft
    assert template == "<SYSTEM MESSAGE>Be brief.<USER MESSAGE>{instruction} {history}<BOT MESSAGE>"


@pytest.mark.parametrize(
    ("apply_chat", "times"),
    [(lambda text: "<user><bot>", 0), (lambda text: text.upper(), 0), (lambda text: f"{text}<bot>{text}", 2)],
    ids=["left out", "changed", "twice"],
)
def test_a_chat_template_that_does_not_show_the_message_once_is_refused(apply_chat, times):
    with pytest.raises(ValueError, match=f"prompt=chat: .* a user's message {times} times.*; use prompt=alp"):
        ChatLayout().for_chat(apply_chat)


def test_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"prompt\.file=.*none\.txt cannot be read"):
        one_text("{history}", file=str(tmp_path / "none.txt"))


def test_unknown_end_of_answers_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"answer_end\.rejected = 'period'; choose one of quote, line_break"):
        AnswerEnds(rejected="period")


def raw_movielens_wording():
    text = (ROOT / "conf/dataset/base/movielens.yaml").read_text(encoding="utf-8")
    node = yaml.safe_load(text)["wording"]
    return Wording(node["instruction"], node["lead"], node["close"])


def test_raw_movielens_prompt_is_the_released_one():
    prompt = Prompt(raw_movielens_wording(), PromptTemplates(dpo="{instruction}|{lead}{history}{close}|"))
    assert prompt.text(["Ran (1985)", "Heat (1995)"], "dpo") == (
        "Given a list of movies the user has watched before, please recommend a new movie that the user "
        'likes to the user.|The user has watched the following movies before:"Ran (1985)", "Heat (1995)"\n |"'
    )


def test_raw_movielens_prompt_is_that_of_released_rows_byte_for_byte():
    file = ROOT.parent / "shared/data/movielens/test.json.gz"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    wording, row = raw_movielens_wording(), json.loads(gzip.decompress(file.read_bytes()))[0]
    titles = row["input"].partition('"')[2].rpartition('"')[0].split('", "')
    before, shown, after = Prompt(wording, PromptTemplates(dpo="{lead}{history}{close}")).parts(titles, "dpo")
    assert (wording.instruction, before + shown + after) == (row["instruction"], row["input"] + '"')
