"""The released MovieLens leak: a line break after rejected titles alone tells every pair apart."""

import pytest
import torch

from sprec.data.examples import Wording
from sprec.data.prompts import AnswerEnds, Prompt, PromptTemplates
from sprec.llm.tokenization import PromptTokenizer


def last_tokens(model, catalog, end):
    """Return the last tokens of each pair of a chosen and a rejected title."""
    templates = PromptTemplates(answer_end=AnswerEnds(rejected=end))
    prompt = Prompt(Wording("Recommend.", "Seen: "), templates, catalog.titles)
    tokens = PromptTokenizer(model.tokenizer, prompt, cutoff_tokens=512)
    titles = catalog.titles
    pairs = [tokens.encode(titles[i : i + 3], [titles[i + 3], titles[i + 4]], step="dpo") for i in range(40)]
    return torch.tensor([[answer[-1] for answer in row.answers] for row in pairs])


@pytest.mark.parametrize(("end", "accuracy"), [("line_break", 1.0), ("quote", 0.5)])
def test_last_token_tells_pairs_apart_with_the_leak_alone(make, catalog, end, accuracy):
    last = last_tokens(make(), catalog, end)
    # the best rule that sees the last token alone: prefer tokens that are chosen more often than rejected
    votes = torch.zeros(int(last.max()) + 1)
    votes.index_add_(0, last[:, 0], torch.ones(len(last))).index_add_(0, last[:, 1], -torch.ones(len(last)))
    difference = votes[last[:, 0]] - votes[last[:, 1]]
    right = (difference > 0).float() + (difference == 0).float() / 2
    assert float(right.mean()) == pytest.approx(accuracy, abs=0.1 if accuracy < 1 else 0)
