import pytest

from benchmarks.setting import Setting, default_settings
from sprec.data.prompts import INDENT


@pytest.fixture
def setting(make, catalog):
    """Two rows for a tiny model."""
    model = make(4)
    setting = Setting(default_settings(bf16=False, threads=1), rows=2)
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9 + i : 10 + i]) for i in range(2)]
    vars(setting).update(model=model, encode_rows=lambda: rows)
    return setting


def test_released_rows_learn_all_their_tokens_and_no_end_of_text(setting, catalog):
    tokenizer = setting.model.tokenizer
    for plain, row, title in zip(
        setting.encode_rows(), setting.encode_released_rows(), catalog.titles[9:11], strict=True
    ):
        (learned,) = row.answers
        assert row.prompt == plain.prompt[:1]
        assert learned[: len(plain.prompt) - 1] == plain.prompt[1:]
        assert tokenizer.decode(learned).endswith(f'{title}"\n{INDENT}')
        assert tokenizer.eos_token_id not in learned
