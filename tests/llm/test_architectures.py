"""Every kind of architecture is computed as transformers and peft do, or left to them; docs/engines.md."""

import pytest

from tests.llm.architectures import ARCHITECTURES, QUICK, examine, tokenizer_for


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tokenizer_for(tmp_path_factory.mktemp("tokenizer"))


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_auto_agrees_with_transformers_and_peft(name, tokenizer, tmp_path):
    row = examine(name, tokenizer, tmp_path)
    assert row.plain.exact, row
    assert row.chosen.exact, row
