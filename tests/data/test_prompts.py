"""The exact text of each kind of prompt in each step."""

import pytest

from sprec.data.examples import Wording
from sprec.data.prompts import ALPACA_TEMPLATES, ChatLayout, Prompt, PromptTemplates, released_templates

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
