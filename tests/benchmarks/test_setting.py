from functools import partial

import pytest

from benchmarks.setting import Setting, configured
from sprec.data.prompts import INDENT
from sprec.experiment.build import build, drawn, engine, stored


@pytest.fixture
def setting(make, catalog):
    """Two rows for a tiny model."""
    model = make(4)
    found = Setting(configured(bf16=False, threads=1), rows=2)
    rows = [model.encode(catalog.titles[i : i + 2], catalog.titles[9 + i : 10 + i]) for i in range(2)]
    vars(found).update(model=model, encoded=lambda: rows)
    return found


def test_released_rows_learn_all_their_tokens_and_no_end_of_text(setting, catalog):
    tokenizer = setting.model.tokenizer
    for given, row, title in zip(setting.encoded(), setting.released(), catalog.titles[9:11], strict=True):
        (learned,) = row.answers
        assert row.prompt == given.prompt[:1]
        assert learned[: len(given.prompt) - 1] == given.prompt[1:]
        assert tokenizer.decode(learned).endswith(f'{title}"\n{INDENT}')
        assert tokenizer.eos_token_id not in learned


@pytest.mark.parametrize(
    ("side", "calls"), [(lambda s: s, ["keep", "bound"]), (Setting.plain, [])], ids=["ours", "peer"]
)
def test_a_peers_process_has_the_libraries_own_settings(side, calls, monkeypatch, sprec_home):
    called = []
    for name in ("keep", "bound"):
        monkeypatch.setattr(f"sprec.llm.memory.{name}", partial(called.append, name))
    tiny = configured("dataset=toy", "base_llm=tiny", bf16=False, threads=1)
    settings = side(Setting(tiny, rows=1)).settings
    built = build(settings)
    whole = stored(built)
    assert engine(built, settings, drawn(whole, settings), whole.digest)[0].model
    assert called == calls
