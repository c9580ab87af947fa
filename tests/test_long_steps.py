"""Each long step shows in a terminal how far it is; the loops of passes have this from `track` as well."""

import numpy as np
import pytest
from rich.console import Console

from sprec import progress
from sprec.baselines.sasrec import sasrec
from sprec.baselines.sequential import FitSettings, fit
from sprec.data.download import fetch
from sprec.data.download.fetch import url_download
from sprec.data.formats.json_lines import TEXT, read_frames
from sprec.data.readers.toy import toy_dataset
from sprec.generation.decoding import Greedy
from sprec.generation.grounding import CharacterNgrams
from sprec.negatives import SamplerContext, Semantic


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Return what is said on a standard error that is a terminal."""
    monkeypatch.setattr(progress, "stderr_is_terminal", lambda: True)
    monkeypatch.setattr(progress, "CONSOLE", Console(stderr=True, force_terminal=True))
    return lambda: capsys.readouterr().err


def test_epochs_of_an_id_based_model(terminal):
    data = toy_dataset()
    model = sasrec(len(data.catalog), rng=np.random.default_rng(0), width=8)
    fit(
        model,
        data.split.train,
        data.split.valid,
        FitSettings(epochs=2, windows=64),
        rng=np.random.default_rng(1),
    )
    assert "epochs at most" in terminal()


def test_semantic_negatives(terminal):
    data = toy_dataset()
    context = SamplerContext(
        *(data.catalog, data.popularity, data.genres, CharacterNgrams(64), Greedy()),
        load=lambda: pytest.fail("no model is asked"),
        batch_tokens=64,
    )
    Semantic(similar=True)(list(data.split.test)[:3], context, np.random.default_rng(0))
    assert "semantic negatives" in terminal()


def test_download_from_the_web(terminal, monkeypatch, tmp_path):
    class Answer:
        headers = {"Content-Length": "25"}  # noqa: RUF012
        left = b"x" * 25

        def read(self, size):
            part, self.left = self.left[:size], self.left[size:]
            return part

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(fetch, "CHUNK_BYTES", 10)
    monkeypatch.setattr(fetch.urllib.request, "urlopen", lambda *_, **__: Answer())
    assert url_download("https://example.org/a.zip", tmp_path).read_bytes() == b"x" * 25
    told = terminal()
    assert "a.zip, MB" in told
    assert "100%" in told


def test_records_of_a_large_file(terminal, monkeypatch, tmp_path):
    path = tmp_path / "reviews.json"
    path.write_text('{"a": "1"}\n' * 40)
    monkeypatch.setattr("sprec.data.formats.json_lines.CHUNK_BYTES", 100)
    assert sum(frame.height for frame in read_frames(path, {"a": TEXT})) == 40
    assert "reading reviews.json" in terminal()
